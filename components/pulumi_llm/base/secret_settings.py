"""Settings that came encrypted: what they hand on to AWS stays a secret."""

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import pulumi

from pulumi_llm.base.settings import Settings

_T = TypeVar("_T")

# A whole section counts as encrypted where one value in it is. Names of resources open nothing, and policies check them.
_NAME_OF_RESOURCE = re.compile(r"arn:[^{}]*|(vpc|vpce|subnet|sg|ami|rtb|pl)-[0-9a-f]+")


def as_secrets(settings: _T, *, resources: bool = False) -> _T:
    """Return settings whose texts are secret Outputs wherever an Output may stand, so that the state encrypts what is made of
    them. They are valid already.

    Numbers and choices stay as they are, and so do the ARNs and ids of resources, unless `resources` asks for them, too.
    """
    return cast("_T", _secret(settings, Any, resources=resources))


def _secret(value: Any, annotation: Any, *, resources: bool) -> Any:
    options = list(_options(annotation))
    if isinstance(value, Settings):
        fields = type(value).model_fields
        own = {name: fields[name].annotation for name in value.model_fields_set}
        return value.model_copy(
            update={name: _secret(getattr(value, name), each, resources=resources) for name, each in own.items()}
        )
    if isinstance(value, Mapping):
        of_items = next((get_args(each)[1] for each in options if get_origin(each) in (Mapping, dict)), Any)
        items = cast("Mapping[str, Any]", value).items()
        return {key: _secret(item, of_items, resources=resources) for key, item in items}
    if isinstance(value, tuple | list):
        of_items = next((get_args(each)[0] for each in options if get_origin(each) in (tuple, list)), Any)
        return type(value)(_secret(item, of_items, resources=resources) for item in cast("list[Any]", value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    takes_output = Any in options or any(get_origin(each) is pulumi.Output for each in options)
    if isinstance(value, str) and takes_output and (resources or not _NAME_OF_RESOURCE.fullmatch(value)):
        return pulumi.Output.secret(value)
    return value


def _options(annotation: Any) -> Iterator[Any]:
    """Yield what a value of an annotation may be: a union's members, else the annotation."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _options(member)
    else:
        yield annotation
