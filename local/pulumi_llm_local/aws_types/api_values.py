"""Checks the values of an AWS resource's inputs against AWS's own models of its APIs, as botocore carries them.

The provider's SDK types most values as plain text and numbers; the API knows better: which texts it takes, how long they
may be, between which bounds a number lies. A resource type is a create operation of a service, found by its name; an input
is the operation's member of the same name. What the names don't tell, and what the models lack, is in the entry of the type.

Only what is certain is refused. Left alone are types and inputs without a counterpart, unknowns, assets, values of another
kind than the model's (`arguments` reports those), and empty texts, lists and maps: the provider takes them for not given.
"""

import difflib
import functools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.api_model import ServiceModel, Shape, service_model
from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule
from pulumi_llm_local.aws_types.registry import TYPES
from pulumi_llm_local.aws_types.values import SIGNATURE, UNKNOWN, revealed, unwrapped
from pulumi_llm_local.aws_types.wording import listed, shortened

_TAGS: Final = AWS_DOCS + "tag-editor/latest/userguide/best-practices-and-strats.html"
_TAG_KEY: Final = ValueRule(_TAGS, high=128)
_TAG_VALUE: Final = ValueRule(_TAGS, high=256)
_NOTHING_KNOWN: Final = AwsType()


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """List the values of a resource that AWS would refuse.

    Args:
        token: The resource's type, such as `aws:lambda/function:Function`. Another provider's has no problems.
        inputs: The resource's inputs, as the engine gets them.

    Returns:
        One line for each problem, which names the type and the property's path.
    """
    if not token.startswith("aws:") or token.count(":") != 2:
        return []
    entry = TYPES.get(token, _NOTHING_KNOWN)
    rules = dict(entry.rules)
    if entry.rules_by_inputs:
        for path, rule in entry.rules_by_inputs(cast("Mapping[str, Any]", revealed(inputs))).items():
            rules[path] = replace(rule, member=rules[path].member) if path in rules else rule
    found: list[str] = []
    for name, value in inputs.items():
        if not name.startswith("__"):  # the engine's own notes, such as __defaults
            found += _problems(_At(rules, name, name), counterpart(token, name), value)
    return [f"{token}: {problem}" for problem in found]


# The API's side: botocore's models.


@functools.cache
def counterpart(token: str, name: str) -> Shape | None:
    """Find the member of an operation that a resource's input stands for; None where there is no such member."""
    rule, kind = TYPES.get(token, _NOTHING_KNOWN).rules.get(name), token.rpartition(":")[2]
    return next((shape for place in places(token) if (shape := _member(place, name, kind, rule))), None)


@functools.cache
def places(token: str) -> tuple[Shape, ...]:
    """Find the structures whose members a type's inputs are, in the order to look in; none where there is no counterpart."""
    module, kind = token.split(":")[1].partition("/")[0], token.rpartition(":")[2].lower()
    service, *paths = (TYPES.get(token, _NOTHING_KNOWN).api or module).split()
    api = service_model(service)
    if api is None:
        return ()
    operations = {operation.lower(): operation for operation in api.operation_names}
    paths = paths or [operations[verb + kind] for verb in _VERBS if verb + kind in operations][:1]
    return tuple(_structure(api, path) for path in paths)


_VERBS: Final = ("create", "put", "register", "request", "publish", "add", "allocate", "set")


def _structure(api: ServiceModel, path: str) -> Shape:
    """Find a structure by its path: an operation, then members, a list standing for what it holds."""
    operation, _, rest = path.partition(".")
    inputs = api.operation_model(operation).input_shape
    found = _at_path(inputs, rest) if rest else inputs
    assert found is not None, f"{path} is no path of the API"
    return _held(found)


def _member(structure: Shape, name: str, kind: str, rule: ValueRule | None) -> Shape | None:
    """Find the member that a property stands for: as its rule says, or by its name."""
    if rule is not None and rule.member:
        return _at_path(structure, rule.member)
    members = {member.lower(): shape for member, shape in structure.members.items()}
    return next((members[form] for form in _forms(name.lower(), kind.lower()) if form in members), None)


def _forms(name: str, kind: str) -> Iterator[str]:
    """Give the names that a member may have: FunctionName for a Function's `name`, `restApiId` for `restApi`, a plural."""
    yield from (name, f"{name}s", name.removesuffix("s"), name.removesuffix("es"), f"{name.removesuffix('ies')}y")
    yield from (kind[start:] + name for start in range(len(kind) - 2))
    yield from (kind[:end] + name for end in range(len(kind) - 1, 2, -1))
    if not kind.endswith(name):  # a RolePolicy's `policy` isn't its PolicyName
        yield from (f"{name}id", f"{name}name")


def _at_path(structure: Shape, path: str) -> Shape | None:
    shape: Shape | None = structure
    for name in path.split("."):
        for holder in (shape, _held(shape)) if shape is not None else ():
            shape = holder.members.get(name) if holder.type_name == "structure" else None
            if shape is not None:
                break
    return shape


def _list_of(shape: Shape) -> Shape:
    """Tell which list a shape is: CloudFront's lists are structures of `Quantity` and `Items`."""
    listed = shape.type_name == "structure" and {"Quantity", "Items"} <= set(shape.members)
    return shape.members["Items"] if listed else shape


def _held(shape: Shape) -> Shape:
    """Tell what a list holds; another shape is itself."""
    shape = _list_of(shape)
    return shape.member if shape.type_name == "list" else shape


# Values against shapes. Each function yields "path: problem" lines.


@dataclass(frozen=True)
class _At:
    """Where in a resource's inputs a value is."""

    rules: Mapping[str, ValueRule]
    """What the type's entry says of its properties."""
    path: str
    """The path as the rules have it, without positions."""
    shown: str
    secret: bool = False

    def below(self, key: str) -> "_At":
        plain = key.replace("_", "").replace("-", "").isalnum() and len(key) <= 60
        return replace(
            self, path=f"{self.path}.{key}", shown=f"{self.shown}.{key}" if plain else f"{self.shown}[{shortened(repr(key))}]"
        )

    def says(self, wanted: str, found: object) -> str:
        return f"{self.shown}: must {wanted}, not {found}"


def _problems(at: _At, shape: Shape | None, value: Any) -> Iterator[str]:
    value, concealed = unwrapped(value)
    at = replace(at, secret=at.secret or concealed)
    rule = at.rules.get(at.path)
    if (rule is not None and rule.exempt) or isinstance(value, bool):
        return
    if rule is not None and rule.size is not None and isinstance(value, (str, Mapping, list)):
        if not (isinstance(value, str) and UNKNOWN in value):
            yield from _length_problems(at, rule.limits, rule.size(revealed(value)), rule.unit)
        rule = None
    if isinstance(value, (int, float)):
        yield from _number_problems(at, _limits(rule, shape, _NUMBERS), value)
    elif isinstance(value, str):
        yield from _text_problems(at, _limits(rule, shape, ("string",)), value)
    elif isinstance(value, Mapping):
        if SIGNATURE not in value:
            yield from _map_problems(at, rule, shape, cast("Mapping[str, Any]", value))
    elif isinstance(value, (list, tuple)):
        shape = _list_of(shape) if shape is not None else None
        items = cast("Sequence[Any]", value)
        yield from _length_problems(at, _limits(rule, shape, ("list",)), len(items), "item")
        for index, item in enumerate(items):
            inside = replace(at, rules=_without_length(at.rules, at.path), shown=f"{at.shown}[{index}]")
            yield from _problems(inside, shape.member if shape is not None and shape.type_name == "list" else None, item)


_NUMBERS: Final = ("integer", "long", "float", "double")


def _without_length(rules: Mapping[str, ValueRule], path: str) -> Mapping[str, ValueRule]:
    """Take out of the rules what is said of a list itself: of its values only their enumeration holds."""
    rule = rules.get(path)
    if rule is None:
        return rules
    return {**rules, path: replace(rule, low=None, high=None, size=None)}


def _map_problems(at: _At, rule: ValueRule | None, shape: Shape | None, value: Mapping[str, Any]) -> Iterator[str]:
    """Check an object's properties, or a map's keys and values; some maps are lists of pairs for the API."""
    if at.path == "tags":
        yield from _entry_problems(at, _TAG_KEY.limits, None, value, {**at.rules, "tags.*": _TAG_VALUE})
        return
    if shape is not None and not _has_any(shape, value):
        shape = _list_of(shape)
    pair = _pair(shape.member, value) if shape is not None and shape.type_name == "list" else None
    if shape is not None and pair is not None:
        yield from _length_problems(at, shape.metadata, len(value), "item")
        yield from _entry_problems(at, pair[0].metadata, pair[1], value, at.rules)
    elif shape is not None and shape.type_name == "map":
        yield from _length_problems(at, _limits(rule, shape, ("map",)), len(value), "item")
        yield from _entry_problems(at, shape.key.metadata, shape.value, value, at.rules)
    else:  # an object; the SDK has one where the API has a list of at most one
        structure = shape.member if shape is not None and shape.type_name == "list" else shape
        for key, item in value.items():
            inside = at.below(key)
            member = None
            if structure is not None and structure.type_name == "structure":
                member = _member(structure, key, structure.name, at.rules.get(inside.path))
            yield from _problems(inside, member, item)


def _has_any(structure: Shape, value: Mapping[str, Any]) -> bool:
    """Say whether an object is the structure itself, not the one item of the list that the structure is."""
    members = {name.lower() for name in structure.members} if structure.type_name == "structure" else set[str]()
    return any(key.lower() in members for key in value)


def _pair(item: Shape, value: Mapping[str, Any]) -> tuple[Shape, Shape] | None:
    """Tell the key and the value of a list's items where they are pairs and the given map isn't one itself."""
    names = {name.lower(): shape for name, shape in getattr(item, "members", {}).items()}
    camel = {name[:1].lower() + name[1:] for name in getattr(item, "members", {})}
    if not set(value) <= camel:
        for key, held in (("key", "value"), ("name", "value"), ("tagkey", "tagvalue")):
            if set(names) == {key, held}:
                return names[key], names[held]
    return None


def _entry_problems(
    at: _At, key_limits: Mapping[str, Any], shape: Shape | None, value: Mapping[str, Any], rules: Mapping[str, ValueRule]
) -> Iterator[str]:
    for key, item in value.items():
        entry = at.below(key)
        for problem in _text_problems(entry, key_limits, key):
            yield problem.replace(": must ", ": its key must ", 1)
        yield from _problems(replace(entry, rules=rules, path=f"{at.path}.*"), shape, item)


def _limits(rule: ValueRule | None, shape: Shape | None, kinds: Sequence[str]) -> Mapping[str, Any]:
    """What bounds a value: the model, if it is of the value's kind, overruled by the rule."""
    limits: dict[str, Any] = {}
    if shape is not None and shape.type_name in kinds:
        limits |= shape.metadata
        # API Gateway v2's model has its bounds in the names.
        if named := re.fullmatch(r"(?:String|Uri)WithLengthBetween(\d+)And(\d+)", shape.name):
            limits |= {"min": int(named[1]), "max": int(named[2])}
    if rule is not None:
        limits |= rule.limits
    return limits


def _number_problems(at: _At, limits: Mapping[str, Any], value: float) -> Iterator[str]:
    shown = "a secret number" if at.secret else _number(value)
    if "enum" in limits:
        if value not in limits["enum"]:
            yield at.says(_choice(limits["enum"]), shown + _nearest(at, limits["enum"], value))
    elif "min" in limits and value < float(limits["min"]):
        yield at.says(f"be at least {_number(limits['min'])}", shown)
    elif "max" in limits and value > float(limits["max"]):
        yield at.says(f"be at most {_number(limits['max'])}", shown)


def _text_problems(at: _At, limits: Mapping[str, Any], value: str) -> Iterator[str]:
    if not value or UNKNOWN in value:
        return
    shown = "a secret string" if at.secret else shortened(repr(value))
    if "enum" in limits:
        if value not in limits["enum"]:
            yield at.says(_choice(limits["enum"]), shown + _nearest(at, limits["enum"], value))
        return
    yield from _length_problems(at, limits, len(value), "character")
    pattern = _compiled(limits.get("pattern", ""))
    if pattern is not None and pattern.fullmatch(value) is None:
        yield at.says(f"match {limits['pattern']}", shown)


def _length_problems(at: _At, limits: Mapping[str, Any], length: int, unit: str) -> Iterator[str]:
    if not length:
        return
    for bound, word, wrong in (("min", "least", "fewer"), ("max", "most", "more")):
        limit = int(float(limits.get(bound, length)))
        if length < limit if bound == "min" else length > limit:
            first, _, rest = unit.partition(" ")
            units = f"{first}{'' if limit == 1 else 's'} {rest}".rstrip()
            yield at.says(f"have at {word} {limit} {units}", wrong if at.secret else length)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern, made for Java as the services are; None where Python reads it differently or not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # FutureWarning: a set within a set, which Java has
        try:
            return re.compile(pattern, re.ASCII) if pattern else None
        except (re.error, Warning):
            return None


# Words.


def _choice(values: Sequence[Any]) -> str:
    return f"be {listed(values, 'or')}" if len(values) <= 12 else "be a value that the API knows"


def _nearest(at: _At, values: Sequence[Any], value: Any) -> str:
    """Name the value that was probably meant, where they are too many to be listed."""
    if at.secret or len(values) <= 12:
        return ""
    if isinstance(value, str):
        lower = {str(known).lower(): known for known in values}
        found = [lower[name] for name in difflib.get_close_matches(value.lower(), lower, n=1, cutoff=0.6)]
    else:
        found = [min(values, key=lambda known: abs(known - value))]
    return f"; did you mean {found[0]!r}?" if found else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
