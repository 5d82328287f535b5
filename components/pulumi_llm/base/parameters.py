"""A component's outputs as SSM parameters, for other stacks."""

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws import ssm

from pulumi_llm.base.component import Component


def create_parameters(component: Component, prefix: str, outputs: Sequence[str]) -> None:
    """Make a parameter ``prefix/output`` for each of these outputs, which the component has set.

    A list of texts becomes a parameter of the type StringList.
    """
    for output in outputs:
        value: pulumi.Output[Any] = getattr(component, output)
        several = "Sequence" in str(type(component).__annotations__[output])
        ssm.Parameter(
            f"{component.child_name('parameter')}-{output.replace('_', '-')}",
            name=f"{prefix}/{output}",
            type="StringList" if several else "String",
            value=value.apply(",".join) if several else value,
            tags=component.tags,
            opts=component.child("parameter"),
        )
