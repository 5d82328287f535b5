"""What `customize` changes of a component's children.

The change of an argument and the component's own value become one so:

- Mappings and input classes are merged, level by level. In their fields Python's names and the schema's are the same.
- The lists `layers` and `managed_policy_arns` are added to.
- To a policy document its statements are added; one with the `Sid` of a statement that is there replaces it.
- Anything else takes the place of the component's own value.
- None changes nothing. ``{"$replace": value}`` takes the place of what is there, whatever it is; of None, it takes it away.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard, cast, get_args, get_origin

import pulumi

# The SDK's own names and types of the fields of its input classes.
from pulumi import _types  # pyright: ignore[reportPrivateUsage]

from pulumi_llm.base.problems import Problem, hint

REPLACE = "$replace"
_LISTS_ADDED_TO = ("layers", "managed_policy_arns")
_POLICIES = ("policy", "assume_role_policy")
# Between a child's key and which of those with that key: "key:web".
INSTANCE = ":"

Children = Mapping[str, type[pulumi.Resource]]
Changes = Mapping[str, Mapping[str, Any]]


def customize_problems(customize: Changes, children: Children, instances: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield what is wrong with `customize`. `instances` are the names within each key of which there are several children."""
    for key, changes in customize.items():
        path = f"customize.{key}"
        child, separator, instance = key.partition(INSTANCE)
        if child not in children:
            several = [f"{child}{INSTANCE}{name}" for child, names in instances.items() for name in names]
            yield Problem(path, f"is no child of this component; {hint(key, list(children), several)}")
        elif separator and child not in instances:
            yield Problem(path, f"there is one {child!r}; give {child!r}")
        elif separator and instance not in instances[child]:
            found = hint(instance, sorted(instances[child])) if instances[child] else f"there is no {child!r}"
            yield Problem(path, f"{instance!r} is not among those of {child!r}; {found}")
        else:
            yield from _unknown(changes, _arguments(children[child]), children[child].__name__, path)


def merged(kind: type[pulumi.Resource], own: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a child of the type `kind`: the component's `own`, changed."""
    arguments = _arguments(kind)
    result = dict(own)
    for name, change in _in_python(changes, arguments).items():
        argument = _merged(own.get(name), change, _type_of(arguments, name), name)
        result[name] = argument
    return result


def _merged(own: Any, change: Any, kind: Any, name: str) -> Any:
    if change is None:
        return own
    if name in _POLICIES and not _replaces(change):
        return _policy(own, change)
    change, own = _plain(change), _plain(own)
    if _replaces(change):
        return change[REPLACE]
    if isinstance(own, pulumi.Output) or isinstance(change, pulumi.Output):
        if own is None or not (_is_map(kind) or name in _LISTS_ADDED_TO):
            return cast("Any", change)
        both = pulumi.Output.all(cast("Any", own), cast("Any", change))
        return both.apply(lambda both: _merged(both[0], both[1], kind, name))
    if isinstance(change, Mapping):
        before = _in_python(cast("Mapping[str, Any]", own), kind) if isinstance(own, Mapping) else {}
        after = _in_python(cast("Mapping[str, Any]", change), kind)
        merging = {key: _merged(before.get(key), value, _type_of(kind, key), "") for key, value in after.items()}
        return {key: value for key, value in {**before, **merging}.items() if value is not None}
    if name in _LISTS_ADDED_TO and isinstance(own, Sequence) and isinstance(change, Sequence):
        items = cast("Sequence[Any]", own)
        texts = [item for item in items if isinstance(item, str)]  # Outputs cannot be compared
        return [*items, *(item for item in cast("Sequence[Any]", change) if not (isinstance(item, str) and item in texts))]
    return change


def _replaces(change: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(change, Mapping) and set(cast("Mapping[str, Any]", change)) == {REPLACE}


def _policy(own: Any, change: Any) -> Any:
    """A policy document with the statements of both, as JSON."""

    def joined(both: Sequence[Any]) -> str:
        before, after = (_document(document) for document in both)
        sids = {statement["Sid"] for statement in after["Statement"] if "Sid" in statement}
        kept = [statement for statement in before["Statement"] if statement.get("Sid") not in sids]
        return json.dumps({**before, **after, "Statement": [*kept, *after["Statement"]]})

    return pulumi.Output.all(own if own is not None else {}, change).apply(joined)


def _document(policy: Any) -> dict[str, Any]:
    read: Any = json.loads(policy) if isinstance(policy, str) else _in_schema(policy)
    document = cast("dict[str, Any]", {"Statement": read} if isinstance(read, list) else read)
    statements = document.get("Statement", [])
    return {"Version": "2012-10-17", **document, "Statement": [statements] if isinstance(statements, Mapping) else statements}


def _in_schema(value: Any) -> Any:
    """A policy document as IAM spells it, of one that has input classes in it."""
    if _types.is_input_type(type(cast("object", value))):
        value = _types.input_type_to_dict(value)
    if isinstance(value, Mapping):
        return {key: _in_schema(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return [_in_schema(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list | tuple) else value


# The types of a resource's arguments.


def argument_names(kind: type[pulumi.Resource]) -> Sequence[str]:
    """The arguments that the class of a resource takes, by Python's names."""
    return list(_types.input_type_py_to_pulumi_names(_arguments(kind)))


def _arguments(kind: type[pulumi.Resource]) -> Any:
    """The input class that has a resource's arguments as fields."""
    return getattr(sys.modules[kind.__module__], f"{kind.__name__}Args")


def _type_of(kind: Any, name: str) -> Any:
    """The type of a field of an input class, or of a map's values; None where there is none."""
    if _types.is_input_type(kind):
        found = _types.input_type_types(kind).get(_types.input_type_py_to_pulumi_names(kind).get(name, name))
        return _types.unwrap_type(found) if found else None
    arguments = get_args(kind)
    return _types.unwrap_type(arguments[1]) if _is_map(kind) and len(arguments) == 2 else None


def _is_map(kind: Any) -> bool:
    return kind is not None and (_types.is_input_type(kind) or get_origin(kind) in (dict, Mapping))


def _plain(value: Any) -> Any:
    """An input class as a mapping."""
    if not _types.is_input_type(type(cast("object", value))):
        return value
    return _in_python(_types.input_type_to_dict(value), type(value))


def _in_python(fields: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """A mapping whose fields have Python's names; the keys of a map that is no input class stay."""
    if kind is None or not _types.is_input_type(kind):
        return dict(fields)
    names = {schema: python for python, schema in _types.input_type_py_to_pulumi_names(kind).items()}
    return {names.get(name, name): value for name, value in fields.items()}


def _unknown(change: Any, kind: Any, shown: str, path: str) -> Iterator[Problem]:
    """Yield the fields that an input class does not have."""
    change = _plain(change)
    if not isinstance(change, Mapping):
        return
    given = cast("Mapping[str, Any]", change)
    if REPLACE in given:
        if len(given) > 1:
            yield Problem(path, f"holds {REPLACE!r} beside others; give it alone")
        return
    known = list(_types.input_type_py_to_pulumi_names(kind)) if kind is not None and _types.is_input_type(kind) else None
    for name, value in _in_python(given, kind).items():
        if known is not None and name not in known:
            yield Problem(f"{path}.{name}", f"{shown} has no such argument; {hint(name, known)}")
        else:
            inner = _type_of(kind, name)
            yield from _unknown(value, inner, getattr(inner, "__name__", "").removesuffix("Args"), f"{path}.{name}")
