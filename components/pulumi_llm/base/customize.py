"""What `customize` changes of a component's children.

The change of an argument and the component's own value become one so:

- Mappings and input classes are merged, level by level. In their fields Python's names and the schema's are the same.
- The lists `layers` and `managed_policy_arns` are added to.
- To a policy document its statements are added; one with the `Sid` of a statement that is there replaces it.
- Anything else takes the place of the component's own value.
- None changes nothing. ``{"$replace": value}`` takes the place of what is there, whatever it is; of None, it takes it away.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

import pulumi

from pulumi_llm.base.inputs import properties_error
from pulumi_llm.base.policy_documents import ANY, check_statements, parsed, read_document
from pulumi_llm.base.problems import Problem
from pulumi_llm.base.resource_arguments import arguments, in_python, in_schema, is_map, plain, type_of

REPLACE = "$replace"
# The arguments that are policy documents.
POLICIES = ("policy", "assume_role_policy")
_LISTS_ADDED_TO = ("layers", "managed_policy_arns")
# Between a child's key and which of those with that key: "key:web".
INSTANCE = ":"


def merged(kind: type[pulumi.Resource], own: Mapping[str, Any], changes: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The arguments of a child of the type `kind`: the component's `own`, changed. `path` is where the changes stand."""
    fields = arguments(kind)
    result = dict(own)
    for name, change in in_python(changes, fields).items():
        if name in POLICIES:
            result[name] = _Policy(kind, f"{path}.{name}").merged(own.get(name), change)
        else:
            result[name] = _merged(own.get(name), change, type_of(fields, name), name)
    return result


def replaces(change: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(change, Mapping) and set(cast("Mapping[str, Any]", change)) == {REPLACE}


def read_policy(policy: Any) -> dict[str, Any]:
    """A policy document as IAM spells it, of one in any form: JSON text, an input class, or its statements alone.

    Raises:
        ValueError: says what is wrong with it.
    """
    read = parsed(in_schema(policy))
    document = dict(read_document({"Statement": read} if isinstance(read, list | tuple) else read))
    statements = document.get("Statement")
    check_statements(statements[REPLACE] if replaces(statements) else _listed(statements), ANY, ("Action",))
    return document


def _merged(own: Any, change: Any, kind: Any, name: str) -> Any:
    if change is None:
        return own
    change, own = plain(change), plain(own)
    if replaces(change):
        return change[REPLACE]
    if isinstance(own, pulumi.Output) or isinstance(change, pulumi.Output):
        if own is None or not (is_map(kind) or name in _LISTS_ADDED_TO):
            return cast("Any", change)
        both = pulumi.Output.all(cast("Any", own), cast("Any", change))
        return both.apply(lambda both: _merged(both[0], both[1], kind, name))
    if isinstance(change, Mapping):
        before = in_python(cast("Mapping[str, Any]", own), kind) if isinstance(own, Mapping) else {}
        after = in_python(cast("Mapping[str, Any]", change), kind)
        merging = {key: _merged(before.get(key), value, type_of(kind, key), "") for key, value in after.items()}
        return {key: value for key, value in {**before, **merging}.items() if value is not None}
    if name in _LISTS_ADDED_TO and isinstance(own, list | tuple) and isinstance(change, list | tuple):
        items = cast("Sequence[Any]", own)
        texts = [item for item in items if isinstance(item, str)]  # Outputs cannot be compared
        return [*items, *(item for item in cast("Sequence[Any]", change) if not (isinstance(item, str) and item in texts))]
    return change


class _Policy:
    """The merging of a policy document, as JSON. What an Output resolves to is checked only then."""

    def __init__(self, kind: type[pulumi.Resource], path: str) -> None:
        self._kind = kind
        self._path = path

    def merged(self, own: Any, change: Any) -> Any:
        if change is None:
            return own
        if replaces(change):
            value = change[REPLACE]
            return None if value is None else pulumi.Output.from_input(value).apply(self._text)
        return pulumi.Output.all({} if own is None else own, change).apply(self._joined)

    def _text(self, policy: Any) -> str:
        document = self._read(policy)
        return policy if isinstance(policy, str) else json.dumps({"Version": _VERSION, **document})

    def _joined(self, both: Sequence[Any]) -> str:
        own, change = both
        before, after = parsed(own), self._read(change)
        given = after.pop("Statement", None)
        if replaces(given):
            statements = _listed(given[REPLACE])
        else:
            sids = {statement["Sid"] for statement in _listed(given) if "Sid" in statement}
            kept = [statement for statement in _listed(before.get("Statement")) if statement.get("Sid") not in sids]
            statements = [*kept, *_listed(given)]
        rest = _merged({"Version": _VERSION, **before}, after, None, "")
        return json.dumps({**rest, "Statement": statements})

    def _read(self, policy: Any) -> dict[str, Any]:
        try:
            return read_policy(policy)
        except ValueError as error:
            raise properties_error(self._kind.__name__, [Problem(self._path, str(error))]) from None


_VERSION = "2012-10-17"


def _listed(statements: Any) -> list[Any]:
    """A document's statements, of which one need not be in a list."""
    if statements is None:
        return []
    return list(cast("Sequence[Any]", statements)) if isinstance(statements, list | tuple) else [statements]
