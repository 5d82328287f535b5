"""The arguments of a resource's class, as the SDK describes them: their names and types, and values in one form."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

import pulumi

# The SDK's own names and types of the fields of its input classes.
from pulumi import _types  # pyright: ignore[reportPrivateUsage]


def argument_names(kind: type[pulumi.Resource]) -> Sequence[str]:
    """The arguments that the class of a resource takes, by Python's names."""
    return field_names(arguments(kind))


def arguments(kind: type[pulumi.Resource]) -> Any:
    """The input class that has a resource's arguments as fields."""
    module, name = sys.modules[kind.__module__], kind.__name__
    # Of Kubernetes' kinds the plain name is that of the object within other objects.
    return getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")


def field_names(kind: Any) -> Sequence[str]:
    """The fields of an input class, by Python's names."""
    return list(_types.input_type_py_to_pulumi_names(kind))


def is_input_class(kind: Any) -> bool:
    return _types.is_input_type(kind)


def type_of(kind: Any, name: str) -> Any:
    """The type of a field of an input class, or of a map's values; None where there is none."""
    if is_input_class(kind):
        found = _types.input_type_types(kind).get(_types.input_type_py_to_pulumi_names(kind).get(name, name))
        return _types.unwrap_type(found) if found else None
    inner = get_args(kind)
    return _types.unwrap_type(inner[1]) if is_map(kind) and len(inner) == 2 else None


def item_type(kind: Any) -> Any:
    """The type of a list's items; None where there is none."""
    return _types.unwrap_type(get_args(kind)[0]) if is_list(kind) and get_args(kind) else None


def is_map(kind: Any) -> bool:
    return kind is not None and (is_input_class(kind) or get_origin(kind) in (dict, Mapping))


def is_list(kind: Any) -> bool:
    return get_origin(kind) in (list, Sequence)


def alternatives(kind: Any) -> Iterator[Any]:
    """Yield what a plain value of a type may be: the members of a union but for None, awaitables and Outputs."""
    if get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from alternatives(member)
    elif kind not in (None, type(None)) and not is_later(get_origin(kind)):
        yield kind


def is_later(kind: Any) -> bool:
    """Whether a class is of values that are known later."""
    return inspect.isclass(kind) and (issubclass(kind, pulumi.Output) or hasattr(kind, "__await__"))


def plain(value: Any) -> Any:
    """An input class as a mapping."""
    if not is_input_class(type(cast("object", value))):
        return value
    return in_python(_types.input_type_to_dict(value), type(value))


def in_python(fields: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """A mapping whose fields have Python's names; the keys of a map that is no input class stay."""
    return {python_name(name, kind): value for name, value in fields.items()}


def python_name(name: str, kind: Any) -> str:
    """Python's name of a field, which may be the schema's; what is no field of an input class stays."""
    if kind is None or not is_input_class(kind):
        return name
    names = {schema: python for python, schema in _types.input_type_py_to_pulumi_names(kind).items()}
    return names.get(name, name)


def in_schema(value: Any) -> Any:
    """A value with input classes in it as the schema spells it."""
    if is_input_class(type(cast("object", value))):
        value = _types.input_type_to_dict(value)
    if isinstance(value, Mapping):
        return {key: in_schema(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return [in_schema(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list | tuple) else value
