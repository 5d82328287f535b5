"""A hash of what a deployment of an API freezes. Where it changes, the deployment is made anew."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi.output import Unknown

from pulumi_llm.base.resource_arguments import argument_names


def digest(parts: Sequence[pulumi.Resource], others: Mapping[str, pulumi.Input[str]] | None = None) -> pulumi.Output[str]:
    """Hash what parts of an API are, as the engine has them: with `customize` and with what a program's transforms changed."""

    async def value() -> str:
        settings = [await _settings(part) for part in parts]
        if others:
            given = pulumi.Output.from_input(dict(others))
            settings.append(cast("Mapping[str, Any]", await given.future(with_unknowns=True)))
        return _hash(settings)

    # A value that is awaited depends on nothing; the deployment knows its parts by `depends_on`. Were it a property that
    # depended on them, the engine would delete the deployment ahead of a part that is deleted before it is replaced, and AWS
    # refuses that while the stage points to the deployment.
    return pulumi.Output.from_input(value())


async def _settings(part: pulumi.Resource) -> Mapping[str, Any]:
    """The part's arguments, as they were registered. Tags are not frozen.

    At a preview, a property that the resource does not have is unknown, as one is that will change. Both are left out: the hash
    of a resource that does not change is the one of the state.
    """
    kind = type(part)
    names = [name for name in argument_names(kind) if name != "tags" and isinstance(getattr(kind, name, None), property)]
    return {name: await cast("pulumi.Output[Any]", getattr(part, name)).future(with_unknowns=True) for name in names}


def _hash(parts: Sequence[Mapping[str, Any]]) -> str:
    # The order in which a program makes the parts says nothing.
    texts = sorted(json.dumps(_without_empty(part), sort_keys=True) for part in parts)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _without_empty(value: Any) -> Any:
    """Leave out what is empty or unknown: a refresh may find an empty text or list where nothing was given."""
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value).items()
        items = ((key, _without_empty(item)) for key, item in given if not isinstance(item, Unknown))
        return {key: item for key, item in items if item not in (None, "", [], {})}
    if isinstance(value, list):
        return [_without_empty(item) for item in cast("list[Any]", value) if not isinstance(item, Unknown)]
    return value
