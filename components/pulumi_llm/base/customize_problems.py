"""What is wrong with `customize`, found before anything is made."""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import pulumi

from pulumi_llm.base.customize import INSTANCE, POLICIES, REPLACE, read_policy, replaces
from pulumi_llm.base.problems import Problem, hint, shown
from pulumi_llm.base.resource_arguments import (
    alternatives,
    arguments,
    field_names,
    in_schema,
    is_input_class,
    is_later,
    is_list,
    is_map,
    item_type,
    plain,
    python_name,
    type_of,
)
from pulumi_llm.base.tags import OWN_TAG, tag_key, tag_value, tags_reason
from pulumi_llm.base.variables import variable_name

Children = Mapping[str, type[pulumi.Resource]]
# None: wrong by itself, which is told elsewhere.
Changes = Mapping[str, Mapping[str, Any] | None]


def customize_problems(
    customize: Changes, children: Children, made: Mapping[str, Collection[str]], *, certain: bool = True
) -> Iterator[Problem]:
    """Yield what is wrong with `customize`.

    Args:
        customize: The changes by the keys of the children.
        children: The types of the children by their keys.
        made: What stands behind a key in the names of its children, "" where nothing does; empty where there is no such child.
            One child has the name of a key that is left out.
        certain: Whether `made` is right: with arguments that are wrong, it may not be.
    """
    for key, changes in customize.items():
        path = f"customize.{key}"
        child, separator, instance = key.partition(INSTANCE)
        names = made.get(child, ("",))
        if child not in children:
            several = [f"{child}{INSTANCE}{name}" for child, names in made.items() for name in names if name]
            yield Problem(path, f"is no child of this component; {hint(key, list(children), several)}")
        elif not names and certain:
            yield Problem(path, f"the other arguments make no {child!r}, so there is nothing to change")
        elif separator and set(names) == {""}:
            yield Problem(path, f"there is one {child!r}; give {child!r}")
        elif separator and names and instance not in names:
            found = hint(instance, sorted(filter(None, names)))
            beside = f", and one that is just {child!r}" if "" in names else ""
            yield Problem(path, f"{instance!r} is not among those of {child!r}; {found}{beside}")
        elif changes is not None:
            yield from _resource_problems(children[child], changes, path)


def _resource_problems(kind: type[pulumi.Resource], changes: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if REPLACE in changes:
        yield Problem(
            path, f"{REPLACE!r} takes the place of an argument or of what is in it, not of a child; give the arguments"
        )
        return
    yield from _fields(changes, arguments(kind), kind.__name__, path, top=True)
    tags = _entries(changes.get("tags"))
    yield from _wrong_entries(tags, f"{path}.tags", tag_key, tag_value)
    if reason := tags_reason({OWN_TAG, *(key for key in tags if isinstance(key, str))}):
        yield Problem(f"{path}.tags", reason)
    if getattr(kind, "pulumi_type", "") == "aws:lambda/function:Function":
        variables = _entries(_entries(changes.get("environment")).get("variables"))
        yield from _wrong_entries(variables, f"{path}.environment.variables", variable_name, None)


def _fields(
    given: Mapping[Any, Any], kind: Any, shown_kind: str, path: str, *, merged: bool = True, top: bool = False
) -> Iterator[Problem]:
    """Yield what is wrong in a mapping: fields that an input class does not have or is given twice, and their values."""
    known = field_names(kind) if is_input_class(kind) else None
    seen: dict[str, str] = {}
    for key, value in given.items():
        if not isinstance(key, str):
            yield Problem(path, f"must have strings as keys, not {shown(key)}")
            continue
        name, place = python_name(key, kind), f"{path}.{key}"
        if _misspelt(key):
            yield Problem(place, f"is not known; did you mean {REPLACE!r}?")
        elif known is not None and name not in known:
            yield Problem(place, f"{shown_kind} has no such argument; {hint(key, known)}")
        elif name in seen:
            yield Problem(place, f"is given as {seen[name]!r} too; give one of the two")
        elif top and name in POLICIES:
            yield from _policy(value, place)
        else:
            yield from _value(value, type_of(kind, name), place, merged=merged)
        seen.setdefault(name, key)


def _misspelt(key: str) -> bool:
    return key != REPLACE and key.startswith("$") and bool(difflib.get_close_matches(key, [REPLACE]))


def _value(given: Any, kind: Any, path: str, *, merged: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with a value. What is not `merged` takes the place of what is there in any case."""
    value = plain(given)
    if value is None or is_later(type(value)):
        return
    if isinstance(value, Mapping) and REPLACE in value:
        yield from _replacement(cast("Mapping[str, Any]", value), path, merged, lambda v: _value(v, kind, path, merged=False))
        return
    if isinstance(value, Mapping) and any(isinstance(key, str) and _misspelt(key) for key in cast("Mapping[Any, Any]", value)):
        yield from _fields(cast("Mapping[Any, Any]", value), None, "", path, merged=merged)
        return
    kinds = list(alternatives(kind))
    if (reason := _shape_reason(value, kinds)) is not None:
        yield Problem(path, reason)
    elif isinstance(value, Mapping):
        inner = next(filter(is_map, kinds), None)
        name = getattr(inner, "__name__", "").removesuffix("Args")
        yield from _fields(cast("Mapping[Any, Any]", value), inner, name, path, merged=merged)
    elif isinstance(value, list | tuple):
        items = item_type(next(filter(is_list, kinds), None))
        for index, item in enumerate(cast("Sequence[Any]", value)):
            yield from _value(item, items, f"{path}[{index}]", merged=False)


def _replacement(
    given: Mapping[str, Any], path: str, merged: bool, check: Callable[[Any], Iterator[Problem]]
) -> Iterator[Problem]:
    if not replaces(given):
        yield Problem(path, f"holds {REPLACE!r} beside others; give it alone")
    elif not merged:
        yield Problem(path, f"holds {REPLACE!r} in what takes the place of the component's own already; give the value itself")
    else:
        yield from check(given[REPLACE])


def _policy(given: Any, path: str, *, merged: bool = True) -> Iterator[Problem]:
    value = in_schema(given)
    if value is None or is_later(type(value)):
        return
    if isinstance(value, Mapping) and REPLACE in value:
        yield from _replacement(cast("Mapping[str, Any]", value), path, merged, lambda v: _policy(v, path, merged=False))
        return
    try:
        document = read_policy(value)
    except ValueError as error:
        yield Problem(path, str(error))
        return
    # The elements of a document may be replaced one by one, what is in them may not.
    for element, content in document.items():
        yield from _value(content, None, f"{path}.{element}", merged=merged and replaces(content))


def _shape_reason(value: Any, kinds: Sequence[Any]) -> str | None:
    """What would be right in the place of one value that is of another form: a text for a list, a map for a text."""
    expected = list(dict.fromkeys(map(_shape, kinds)))
    given = _shape(type(value))
    if not expected or not given or None in expected:
        return None
    if given in expected or (given in _SCALARS.values() and any(shape in _SCALARS.values() for shape in expected)):
        return None
    return f"must be {' or '.join(map(str, expected))}, not {given}"


_SCALARS: Mapping[type, str] = {bool: "true or false", str: "a string", int: "a number", float: "a number"}


def _shape(kind: Any) -> str | None:
    """The form of the values of a type, or of a value's class; None where it may be any."""
    own = kind if inspect.isclass(kind) else object
    if is_map(kind) or issubclass(own, Mapping):
        return "keys and values"
    if is_list(kind) or issubclass(own, list | tuple):
        return "a list"
    return next((shape for scalar, shape in _SCALARS.items() if issubclass(own, scalar)), None)


def _entries(value: Any) -> Mapping[Any, Any]:
    """The entries of a map that is known, whether it is merged or replaces what is there."""
    value = plain(value)
    if replaces(value):
        value = plain(value[REPLACE])
    return cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {}


def _wrong_entries(
    entries: Mapping[Any, Any], path: str, check_key: Callable[[str], object], check_value: Callable[[str], object] | None
) -> Iterator[Problem]:
    for key, given in entries.items():
        if not isinstance(key, str) or key == REPLACE or _misspelt(key):
            continue  # told elsewhere
        value = given[REPLACE] if replaces(given) else given
        checks = [(check_key, key), *([(check_value, value)] if check_value and isinstance(value, str) else [])]
        for check, text in checks:
            try:
                check(text)
            except ValueError as error:
                yield Problem(f"{path}.{key}", str(error))
