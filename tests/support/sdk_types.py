"""Requests made of the types of OpenAI's and Anthropic's SDKs: each alternative of each field, at every depth, once.

A type of a request has more than can be drawn by chance in the time that a test has: tools of twenty kinds, and forty kinds of
items. Their fields are few, and so one request is made for each of them.
"""

import collections.abc
import itertools
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import pydantic
import typing_extensions as extensions
from hypothesis import strategies as st

# JSON's scalars, and what stands where any object may. A file of bytes is no JSON.
_SCALARS: dict[Any, tuple[Any, ...]] = {
    str: ("a",),
    bool: (True, False),
    int: (1,),
    float: (0.5,),
    type(None): (None,),
    object: ({}, [], "a"),
    Any: ({}, [], "a"),
}
# How deep in one another objects have each field alone; the ones below have the fewest, and all at once.
_DEPTH = 3
_LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)


def alternatives(type_: Any, within: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield values of a type as JSON: of a union each member, of an object each field alone and all of them at once.

    `within` are the objects around it: in itself, an object has only the fields that it must have.
    """
    origin, arguments = extensions.get_origin(type_), extensions.get_args(type_)
    if type_ in _SCALARS:
        yield from _SCALARS[type_]
    elif isinstance(type_, extensions.TypeAliasType):
        yield from alternatives(type_.__value__, within)
    elif origin in (extensions.Annotated, extensions.Required, extensions.NotRequired):
        yield from alternatives(arguments[0], within)
    elif origin in (typing.Union, types.UnionType):
        yield from itertools.chain.from_iterable(alternatives(each, within) for each in arguments)
    elif origin is extensions.Literal:
        yield from arguments
    elif _is_object(type_):
        yield from _objects(type_, within)
    elif origin is dict:
        yield from ({}, *({"a": value} for value in alternatives(arguments[1], within)))
    elif item := _item(type_):
        yield from ([], *([value] for value in alternatives(item[0], within)))
    else:
        assert getattr(origin or type_, "__name__", "") in ("IO", "PathLike", "datetime"), type_


def requests(type_: Any) -> Any:
    """A strategy of requests of a type: its fields together, of each a value out of `alternatives`."""
    fields = {name: (of_field(field), needed) for name, (field, needed) in _fields(type_).items()}
    return st.fixed_dictionaries(
        {name: values for name, (values, needed) in fields.items() if needed},
        optional={name: values for name, (values, needed) in fields.items() if not needed},
    ).map(lambda body: json.loads(json.dumps(body)))


def of_field(type_: Any) -> Any:
    """A strategy of a field's values. A list of objects has several."""
    found = list(alternatives(type_))
    items = [value[0] for value in found if isinstance(value, list) and value]
    if not items:
        return st.sampled_from(found)
    others = [value for value in found if not isinstance(value, list)]
    lists = st.lists(st.sampled_from(items), max_size=3)
    return lists | st.sampled_from(others) if others else lists


def _objects(type_: Any, within: tuple[Any, ...]) -> Iterator[Any]:
    fields = _fields(type_)
    around = (*within, type_)
    least = {name: next(alternatives(field, around)) for name, (field, needed) in fields.items() if needed}
    yield least
    if type_ in within:
        return
    yield least | {
        name: next((value for value in alternatives(field, around) if value is not None), None)
        for name, (field, _) in fields.items()
    }
    if len(within) == _DEPTH:
        return
    for name, (field, _) in fields.items():
        for value in alternatives(field, around):
            yield {**least, name: value}


def _is_object(type_: Any) -> bool:
    return extensions.is_typeddict(type_) or (isinstance(type_, type) and issubclass(type_, pydantic.BaseModel))


def _fields(type_: Any) -> dict[str, tuple[Any, bool]]:
    """The type of each field of an object, and whether the object must have it. An SDK renders all fields of an answer."""
    if not extensions.is_typeddict(type_):
        return {name: (field.annotation, True) for name, field in type_.model_fields.items()}
    hints = extensions.get_type_hints(type_, include_extras=True)
    return {name: (hint, _is_needed(extensions.get_origin(hint), type_)) for name, hint in hints.items()}


def _is_needed(origin: Any, type_: Any) -> bool:
    """`__required_keys__` does not know it where annotations are texts."""
    return origin is extensions.Required or (type_.__total__ and origin is not extensions.NotRequired)


def _item(type_: Any) -> tuple[Any, ...]:
    """The type of a list's items; empty for what is no list."""
    origin = extensions.get_origin(type_)
    is_list = origin in _LISTS or getattr(origin, "__name__", "") == "SequenceNotStr"
    return extensions.get_args(type_)[:1] if is_list else ()
