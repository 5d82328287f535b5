"""The one description of a component's settings.

A component describes its settings once, as a class of `Settings`: the name, type and bounds of each, its default, and one line
of help below it. From that description come the check of a stack's configuration and of a program's arguments, the defaults,
docs/settings.md, docs/components.md, and the TypedDicts that a program and Pulumi's analyzer read (`make docs`).
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar, cast, get_args, get_origin

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from pulumi_llm.base.location import Location, locate

_T = TypeVar("_T")


class Problem(NamedTuple):
    """One mistake: `path` is where it is, such as ``models[0].targets[1].weight``; `reason` says what would be right."""

    path: str
    reason: str


class Settings(BaseModel):
    """Settings that belong together. A value of None counts as not given, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @classmethod
    def expand(cls, value: Any) -> Any:
        """Turn a short form of these settings, such as a name alone, into keys and values."""
        return value

    @model_validator(mode="before")
    @classmethod
    def _without_none(cls, value: Any) -> Any:
        value = cls.expand(value)
        if not isinstance(value, Mapping):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        items = cast("Mapping[Any, Any]", value).items()
        return {key: item for key, item in items if item is not None or key not in known}

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between the settings, each path relative to these. `read` calls it for nested settings too.

        A setting that is wrong by itself is None here, whatever its type says; `valid` tells.
        """
        yield from ()

    def problems_in(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong in a component's Region or partition. `read_arguments` calls it for the arguments."""
        yield from ()

    def valid(self, *names: str) -> bool:
        """Whether the settings of these names hold values."""
        return all(getattr(self, name, None) is not None for name in names)

    def given(self, name: str) -> bool:
        """Whether the setting was given, right or wrong, rather than left to its default."""
        return name in self.model_fields_set


def valid_items(items: Sequence[_T] | None) -> list[tuple[int, _T]]:
    """The valid items of a list with their positions, where what is wrong is None."""
    return [(index, item) for index, item in enumerate(items or ()) if item is not None]


# Types of settings. Scalars are strict: "true" is not a boolean, and true is not a number.

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]


class _OutputAllowed:
    """Validates a plain value at once, and an Output when it resolves."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = handler.generate_schema(get_args(source)[0])

        def validate(value: Any, check: core_schema.ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            if not isinstance(value, pulumi.Output):
                return check(value)
            path = info.field_name or ""

            def check_resolved(resolved: Any) -> Any:
                if resolved is None:  # as when it was not given
                    return None
                try:
                    return check(resolved)
                except ValidationError as error:
                    reason = _reason(Settings, error.errors()[0])
                # Without the value, which may be a secret: it stands first or last.
                reason = reason.rpartition(", not ")[0] or reason
                if reason.startswith(repr(resolved)):
                    reason = f"what the Output resolved to{reason.removeprefix(repr(resolved))}"
                details = pulumi.InputPropertyErrorDetails(property_path=path, reason=reason)
                raise pulumi.InputPropertiesError(f"{path}: {reason}", [details])

            return cast("pulumi.Output[Any]", value).apply(check_resolved)

        return core_schema.with_info_wrap_validator_function(validate, plain)


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included; None: no upper bound."""

    low: float
    high: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float) -> float:
        if self.high is None and not value >= self.low:
            raise ValueError(f"must be at least {self.low}, not {number_text(value)}")
        if self.high is not None and not self.low <= value <= self.high:
            raise ValueError(f"must be between {self.low} and {self.high}, not {number_text(value)}")
        return value


def number_text(value: float) -> str:
    """A number without the decimal point that validation gives a whole one."""
    if abs(value) >= 10**15:
        return "a number of so many digits"
    return str(int(value)) if float(value).is_integer() else str(value)


# A setting that may be another resource's output.
Input = Annotated[_T | pulumi.Output[_T], _OutputAllowed()]


def form(pattern: str, description: str) -> AfterValidator:
    """A text that the whole of `pattern` matches; `description` names the form in an error, such as "a Region, such as …"."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"{value!r} is not of the form of {description}")
        return value

    return AfterValidator(check)


# Names of aliases, keys, providers and environments.
Name = Annotated[str, form(r"[a-z0-9][a-z0-9._-]{0,62}", "a name: small letters, digits, '.', '_' and '-', at most 63")]

Region = Annotated[str, form(r"[a-z]{2}(-[a-z]+)+-\d", "a Region, such as us-east-1")]


def _kms_key_arn(value: str) -> str:
    if re.fullmatch(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+", value) is None:
        example = "arn:aws:kms:us-east-1:ACCOUNT:key/ID"
        raise ValueError(f"{value!r} is not the ARN of a key, such as {example}; an alias's is none")
    return value


# A key's own ARN, for IAM does not follow an alias's.
KmsKeyArn = Annotated[str, AfterValidator(_kms_key_arn)]

# CloudWatch Logs takes only these.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def _retention(days: int) -> int:
    if days not in RETENTION_DAYS:
        raise ValueError(f"must be one of {', '.join(map(str, RETENTION_DAYS))}, not {number_text(days)}")
    return days


RetentionDays = Annotated[Count, AfterValidator(_retention)]

Tags = Mapping[str, Input[str]]
# Per child of a component, arguments that replace or add to the component's own: {"function": {"memory_size": 1024}}.
Customize = Mapping[str, Mapping[str, Any]]


# Reading.

_S = TypeVar("_S", bound=Settings)


def read(kind: type[_S], given: Any) -> tuple[_S, list[Problem]]:
    """Read settings from plain values and Outputs.

    Returns:
        The settings, and everything that is wrong with them. With problems the settings are incomplete: what is wrong by
        itself is None.
    """
    problems: list[Problem] = []
    try:
        settings = kind.model_validate(given)
    except ValidationError as error:
        details = [details for details in error.errors() if not _is_consequence(details)]
        problems += [Problem(_path(_place(d)), _reason(kind, d)) for d in details]
        settings = _incomplete(kind, given, {_place(d) for d in details}, ())
    return settings, [*problems, *_relations(settings, "")]


def read_arguments(
    component: str, kind: type[_S], given: Any, children: Sequence[str], opts: pulumi.ResourceOptions | None
) -> tuple[_S, Location]:
    """Read a component's arguments.

    Args:
        component: The name of its class.
        kind: The description of its arguments.
        given: The arguments.
        children: The keys that `customize` may have.
        opts: The component's options, whose AWS provider tells where it is.

    Returns:
        The arguments, and where the component is.

    Raises:
        pulumi.InputPropertiesError: lists every argument that is wrong.
    """
    settings, problems = read(kind, given)
    location = locate(component, opts, getattr(settings, "region", None))
    problems += settings.problems_in(location)
    for key in cast("Customize", getattr(settings, "customize", None) or {}):
        if key not in children:
            problems.append(Problem(f"customize.{key}", f"is no child of this component; {hint(key, children)}"))
    if problems:
        lines = "".join(f"\n  {problem.path}: {problem.reason}" for problem in problems)
        details = [pulumi.InputPropertyErrorDetails(property_path=p.path, reason=p.reason) for p in problems]
        raise pulumi.InputPropertiesError(f"{component} has arguments that are wrong:{lines}", details)
    return settings, location


def hint(name: str, known: Sequence[str]) -> str:
    """What would be right in the place of a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def _relations(settings: Settings, path: str) -> Iterator[Problem]:
    """What is wrong between settings, at every level."""
    for name in type(settings).model_fields:
        for below, nested in _nested(f"{path}{name}", getattr(settings, name, None)):
            yield from _relations(nested, f"{below}.")
    for problem in settings.problems():
        yield Problem(f"{path}{problem.path}", problem.reason)


def _nested(path: str, value: Any) -> Iterator[tuple[str, Settings]]:
    if isinstance(value, Settings):
        yield path, value
    elif isinstance(value, tuple):
        for index, item in enumerate(cast("tuple[Any, ...]", value)):
            yield from _nested(f"{path}[{index}]", item)
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _nested(f"{path}.{key}", item)


Place = tuple[int | str, ...]


def _incomplete(kind: type[_S], given: Any, wrong: set[Place], place: Place) -> _S:
    """The settings without what is wrong, so that their relations can be checked all the same."""
    given = kind.expand(given)
    given = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    values: dict[str, Any] = {}
    names: set[str] = set()
    for name, field in kind.model_fields.items():
        key = field.alias or name
        if given.get(key) is None:
            values[name] = None if field.is_required() else field.get_default(call_default_factory=True)
            continue
        names.add(name)
        values[name] = _readable(field.annotation, given[key], wrong, (*place, key))
    return kind.model_construct(names, **values)


def _readable(annotation: Any, value: Any, wrong: set[Place], place: Place) -> Any:
    """A value that is right, with None in the place of what is wrong in it; None where it is wrong itself."""
    if place in wrong:
        return None
    for member in _members(annotation):
        origin, arguments = get_origin(member), get_args(member)
        if _is_settings(member):
            return _incomplete(member, value, wrong, place)
        if origin is tuple and isinstance(value, list | tuple):
            items = enumerate(cast("Sequence[Any]", value))
            return tuple(_readable(arguments[0], item, wrong, (*place, index)) for index, item in items)
        if origin is Mapping and isinstance(value, Mapping):
            entries = cast("Mapping[str, Any]", value).items()
            return {key: _readable(arguments[1], item, wrong, (*place, key)) for key, item in entries if isinstance(key, str)}  # pyright: ignore[reportUnnecessaryIsInstance]
    return cast("Any", value) if isinstance(value, str | int | float | pulumi.Output) else None


def _members(annotation: Any) -> Iterator[Any]:
    """The members of an annotation that is a union, else the annotation itself."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _members(arguments[0])
    elif type(None) in arguments:
        for member in arguments:
            yield from _members(member)
    else:
        yield annotation


# The errors of pydantic in our words.


def _is_consequence(error: ErrorDetails) -> bool:
    """Whether an error only follows from others: a list is too short because its items are wrong."""
    return error["type"] == "too_short" and bool(error["input"])


def _place(error: ErrorDetails) -> Place:
    return tuple(part for part in error["loc"] if part != "[key]")


def _path(place: Place) -> str:
    def written(part: int | str) -> str:
        if isinstance(part, int):
            return f"[{part}]"
        return f".{part}" if part.isprintable() else f".{part!r}"

    return "".join(map(written, place)).removeprefix(".") or "args"


def _reason(kind: type[Settings], error: ErrorDetails) -> str:
    given, context = error["input"], error.get("ctx", {})
    if isinstance(given, pulumi.Output) and error["type"] != "extra_forbidden":
        return "must be a plain value, known before anything is made, which an Output is not"
    match error["type"]:
        case "missing":
            return "is required, but not given"
        case "extra_forbidden":
            *above, name = _place(error)
            return f"is not known; {hint(str(name), _keys_at(kind, above))}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"must be a whole number, not {_shown(given)}"
        case "float_parsing" | "float_type":
            return f"must be a number, not {_shown(given)}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false, not {_shown(given)}"
        case "string_type":
            return f"must be a string, not {_shown(given)}"
        case "tuple_type" | "list_type":
            return f"must be a list, not {_shown(given)}"
        case "dict_type" | "model_type" | "mapping_type" | "model_attributes_type":
            # A string is not shown: it may be a key, in the place of the object that names its secret.
            return f"must hold keys and values, not {'a string' if isinstance(given, str) else _shown(given)}"
        case "literal_error":
            return f"must be {context['expected']}, not {_shown(given)}"
        case "too_short":
            return "must hold at least one"
        case "too_long":
            return f"must hold at most {context['max_length']}, not {context['actual_length']}"
        case "value_error":
            return str(context["error"])
        case "string_too_short":
            return "must not be empty"
        case _:
            return f"{error['msg']}, not {_shown(given)}"


def _shown(value: Any) -> str:
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


def _keys_at(kind: type[Settings], place: Sequence[int | str]) -> list[str]:
    """The keys that there are at a place, in alphabetical order."""
    annotation: Any = kind
    for part in place:
        member = next(m for m in _members(annotation) if _is_settings(m) or get_origin(m) in (tuple, Mapping))
        if _is_settings(member):
            annotation = next(f.annotation for name, f in member.model_fields.items() if part == (f.alias or name))
        else:
            annotation = get_args(member)[-1 if get_origin(member) is Mapping else 0]
    (found,) = (member for member in _members(annotation) if _is_settings(member))
    # A key of another namespace (aws:region) stands elsewhere in the stack's file.
    return sorted(key for name, field in found.model_fields.items() if ":" not in (key := field.alias or name))


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)
