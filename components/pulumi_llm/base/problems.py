"""What is wrong with settings: its place, and what would be right. Pydantic's errors are put into our words."""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

import pulumi
from pydantic import BaseModel
from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]


class Problem(NamedTuple):
    """One mistake: `path` is where it is, such as ``models[0].targets[1].weight``; `reason` says what would be right."""

    path: str
    reason: str


def hint(name: str, known: Sequence[str], unlisted: Sequence[str] = ()) -> str:
    """What would be right in the place of a name that is not known; `unlisted` are too many to list."""
    near = difflib.get_close_matches(name, [*known, *unlisted], n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def number_text(value: float) -> str:
    """A number without the decimal point that validation gives a whole one."""
    if 10**15 <= abs(value) < math.inf:
        return "a number of so many digits"
    return str(int(value)) if float(value).is_integer() else str(value)


# The errors of pydantic in our words.


def is_consequence(error: ErrorDetails) -> bool:
    """Whether an error only follows from others: a list is too short because its items are wrong."""
    return error["type"] == "too_short" and len(error["input"]) >= error.get("ctx", {})["min_length"]


def place_of(error: ErrorDetails) -> Place:
    return tuple(part for part in error["loc"] if part != "[key]")


def path_of(place: Place) -> str:
    def written(part: int | str) -> str:
        if isinstance(part, int):
            return f"[{part}]"
        return f".{part}" if part.isprintable() else f".{part!r}"

    return "".join(map(written, place)).removeprefix(".") or "args"


def reason_of(kind: type[BaseModel], error: ErrorDetails) -> str:
    given, context = error["input"], error.get("ctx", {})
    if isinstance(given, pulumi.Output) and error["type"] != "extra_forbidden":
        return "must be a plain value, known before anything is made, which an Output is not"
    match error["type"]:
        case "missing":
            return "is required, but not given"
        case "extra_forbidden":
            *above, name = place_of(error)
            return f"is not known; {hint(str(name), _keys_at(kind, above))}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"must be a whole number, not {repr(given) if isinstance(given, float) else shown(given)}"
        case "float_parsing" | "float_type":
            return f"must be a number, not {shown(given)}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false, not {shown(given)}"
        case "string_type":
            return f"must be a string, not {shown(given)}"
        case "tuple_type" | "list_type":
            return f"must be a list, not {shown(given)}"
        case "dict_type" | "model_type" | "mapping_type" | "model_attributes_type":
            # A string is not shown: it may be a key, in the place of the object that names its secret.
            return f"must hold keys and values, not {'a string' if isinstance(given, str) else shown(given)}"
        case "literal_error":
            return f"must be {context['expected']}, not {shown(given)}"
        case "too_short":
            return f"must hold at least {'one' if context['min_length'] == 1 else context['min_length']}"
        case "too_long":
            return f"must hold at most {context['max_length']}, not {context['actual_length']}"
        case "refused":
            return error["msg"]
        case "value_error":
            return str(context["error"])
        case "string_too_short":
            return "must not be empty"
        case _:
            return f"{error['msg']}, not {shown(given)}"


def shown(value: Any) -> str:
    """A wrong value in an error. What holds other values is only named, for they may be secrets."""
    match value:
        case None | bool():
            return repr(value)
        case int() | float():
            return number_text(value)
        case str():
            return repr(value) if len(value) <= 64 else f"{value[:64]!r}…"
        case Mapping():
            return "keys and values"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(cast('object', value)).__name__}"


def _keys_at(kind: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """The keys that there are at a place, in alphabetical order."""
    annotation: Any = kind
    for part in place:
        member = next(m for m in members(annotation) if is_settings(m) or get_origin(m) in (tuple, Mapping))
        if is_settings(member):
            annotation = next(f.annotation for name, f in member.model_fields.items() if part == (f.alias or name))
        else:
            annotation = get_args(member)[-1 if get_origin(member) is Mapping else 0]
    (found,) = (member for member in members(annotation) if is_settings(member))
    # A key of another namespace (aws:region) stands elsewhere in the stack's file.
    return sorted(key for name, field in found.model_fields.items() if ":" not in (key := field.alias or name))


def is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def members(annotation: Any) -> Iterator[Any]:
    """Yield what a plain value of an annotation may be: a union's members but for None and Output, else the annotation."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from members(arguments[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in arguments:
            if member is not type(None) and get_origin(member) is not pulumi.Output:
                yield from members(member)
    else:
        yield annotation


def holds_settings(annotation: Any) -> bool:
    """Whether a value of an annotation has settings in it, at any depth."""
    return is_settings(annotation) or any(map(holds_settings, get_args(annotation)))
