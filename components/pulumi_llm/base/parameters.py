"""A component's outputs as SSM parameters, for other stacks."""

from collections.abc import Sequence

from pulumi_aws import ssm

from pulumi_llm.base.component import Component


def create_parameters(component: Component, prefix: str, outputs: Sequence[str]) -> None:
    """Make a parameter ``prefix/output`` for each of these outputs, which the component has set."""
    for output in outputs:
        ssm.Parameter(
            f"{component.child_name('parameter')}-{output.replace('_', '-')}",
            name=f"{prefix}/{output}",
            type="String",
            value=getattr(component, output),
            tags=component.tags,
            opts=component.child("parameter"),
        )
