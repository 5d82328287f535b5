"""The one description of a component's settings.

A component describes its settings once, as a class of `Settings`: the name, type and bounds of each, its default, and one line
of help below it. From that description come the check of a stack's configuration and of a program's arguments, the defaults,
docs/settings.md, docs/components.md, and the TypedDicts that a program and Pulumi's analyzer read (`make docs`).
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated, Any, ClassVar, TypeVar, cast, get_args, get_origin

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from pulumi_llm.base.customize_problems import customize_problems
from pulumi_llm.base.inputs import Input, Late, properties_error
from pulumi_llm.base.location import Location, locate
from pulumi_llm.base.names import name_problems
from pulumi_llm.base.problems import (
    Place,
    Problem,
    hint,
    holds_settings,
    is_consequence,
    is_settings,
    members,
    number_text,
    path_of,
    place_of,
    reason_of,
    shown,
)
from pulumi_llm.base.tags import Tags

__all__ = [
    "Between",
    "CertificateArn",
    "Count",
    "Customize",
    "DataRegion",
    "Flag",
    "HostName",
    "Input",
    "KmsKeyArn",
    "Name",
    "Number",
    "ParameterPrefix",
    "Problem",
    "Region",
    "RetentionDays",
    "SecurityGroupId",
    "Settings",
    "SubnetId",
    "Tags",
    "VpcId",
    "ZoneId",
    "form",
    "hint",
    "ipv4_range",
    "number_text",
    "read",
    "read_arguments",
    "valid_items",
]

_T = TypeVar("_T")


class Settings(BaseModel):
    """Settings that belong together. A value of None counts as not given, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    regional: ClassVar[tuple[str, ...]] = ()
    """The settings that are ARNs of what must be in the component's Region."""
    free_text: ClassVar[tuple[str, ...]] = ("customize",)
    """The settings whose texts may hold anything, line breaks included, and whose values are checked elsewhere."""

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

    @field_validator("*", mode="before")
    @classmethod
    def _as_in_other_languages(cls, value: Any, info: ValidationInfo) -> Any:
        """What other languages cannot give is refused, and an entry of None counts as not given."""
        name = info.field_name or ""
        annotation = cls.model_fields[name].annotation
        refused = [
            InitErrorDetails(type=PydanticCustomError("refused", "{reason}", {"reason": reason}), loc=place, input=item)
            # What settings hold is their own to check, so that nothing in them goes unreported.
            for place, item, reason in (_refused(value, (), holds_settings(annotation)) if name not in cls.free_text else ())
        ]
        if refused:
            raise ValidationError.from_exception_data(cls.__name__, refused)
        if isinstance(value, Mapping) and any(get_origin(m) is Mapping for m in members(annotation)):
            return {key: item for key, item in cast("Mapping[Any, Any]", value).items() if item is not None}
        return cast("Any", value)

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


def _refused(value: Any, place: Place, shallow: bool) -> Iterator[tuple[Place, Any, str]]:
    """Yield what pydantic would turn into texts and lists, or what no name or ARN may hold; each with its place."""
    match value:
        case str():
            if not shallow and any(ord(character) < 32 or ord(character) == 127 for character in value):
                # The value is not shown, for it may be a key.
                yield place, value, "holds a line break or another control character; leave it out"
        case bytes() | bytearray() | memoryview():
            yield place, value, f"must be a string, not {shown(value)}"
        case set() | frozenset():
            yield place, value, f"must be a list, whose order stays the same, not {shown(value)}"
        case Iterator():
            yield place, value, f"must be a list, not {shown(value)}"
        case list() | tuple() if not shallow:
            for index, item in enumerate(cast("Sequence[Any]", value)):
                yield from _refused(item, (*place, index), shallow)
        case Mapping() if not shallow:
            for key, item in cast("Mapping[Any, Any]", value).items():
                yield from _refused(item, (*place, key), shallow)
        case _:
            pass


# Types of settings. Scalars are strict: "true" is not a boolean, and true is not a number.

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included; None: no upper bound."""

    low: float
    high: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float) -> float:
        if self.high is None and not self.low <= value < math.inf:
            raise ValueError(f"must be at least {self.low}, not {number_text(value)}")
        if self.high is not None and not self.low <= value <= self.high:
            raise ValueError(f"must be between {self.low} and {self.high}, not {number_text(value)}")
        return value


def ipv4_range(text: str, example: str) -> IPv4Network:
    """Read a range of IPv4 addresses. `example` shows a right one in the error."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no range of IPv4 addresses, such as {example}: {error}") from None


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

HostName = Annotated[str, form(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "a host name, such as chat.example.com")]
ZoneId = Annotated[str, form(r"[A-Z0-9]{1,32}", "the id of a hosted zone, such as Z0123456789ABCDEFGHIJ")]
CertificateArn = Annotated[
    str, form(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[A-Za-z0-9-]+", "the ARN of a certificate in ACM")
]
VpcId = Annotated[str, form(r"vpc-[0-9a-z]+", "the id of a VPC, such as vpc-0123456789abcdef0")]
SubnetId = Annotated[str, form(r"subnet-[0-9a-z]+", "the id of a subnet, such as subnet-0123456789abcdef0")]
SecurityGroupId = Annotated[str, form(r"sg-[0-9a-z]+", "the id of a security group, such as sg-0123456789abcdef0")]
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
ParameterPrefix = Annotated[
    str, form(r"(?i:(?!/(aws|ssm)))(/[A-Za-z0-9_.-]+)+", "a path such as /llm/prod, which does not begin with aws or ssm")
]

Region = Annotated[str, form(r"[a-z]{2}(-[a-z]+)+-\d", "a Region, such as us-east-1")]
# Where data is: a Region, or another place by a name of the user's own.
DataRegion = Annotated[str, form(r"[a-z][a-z0-9-]{1,62}", "a Region, such as us-east-1, or a place by a name of your own")]


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

# Per child of a component, arguments that change the component's own: {"function": {"memory_size": 1024}}.
Customize = Mapping[str, Mapping[str, Any]]


# Reading.

_S = TypeVar("_S", bound=Settings)


def read(kind: type[_S], given: Any) -> tuple[_S, list[Problem]]:
    """Read settings from plain values and Outputs.

    Returns:
        The settings, and everything that is wrong with them. With problems the settings are incomplete: what is wrong by
        itself is None.
    """
    settings, problems, _ = _read(kind, given)
    return settings, problems


def read_arguments(
    component: str,
    name: str,
    kind: type[_S],
    given: Any,
    children: Mapping[str, type[pulumi.Resource]],
    opts: pulumi.ResourceOptions | None,
    made: Callable[[_S, Location], Mapping[str, Collection[str]]] = lambda settings, location: {},
) -> tuple[_S, Location]:
    """Read a component's arguments.

    Args:
        component: The component's class.
        name: The component's name.
        kind: The description of its arguments.
        given: The arguments.
        children: The types of its children by their keys.
        opts: The component's options, whose AWS provider tells where it is.
        made: Yields what stands behind each key in the names of its children, as `customize_problems` wants it.

    Returns:
        The arguments, and where the component is.

    Raises:
        pulumi.InputPropertiesError: lists every argument that is wrong; for Outputs as soon as one of them resolves to what is
            wrong.
    """
    # First, for it waits for the provider's answer, and meanwhile Outputs resolve, of which more must be told by then.
    region = cast("Mapping[str, Any]", given).get("region") if isinstance(given, Mapping) else None
    location = locate(component, opts, region if isinstance(region, str) else None)
    settings, problems, late = _read(kind, given)
    problems += settings.problems_in(location)
    problems += regional_problems(settings, location.region)
    customize = cast("Customize", getattr(settings, "customize", None) or {})
    instances = made(settings, location)
    problems += customize_problems(customize, children, instances, certain=not problems)
    made_children = {key: children[key] for key in children if instances.get(key, [""])}
    problems += name_problems(name, made_children, customize, instances)
    if problems:
        raise properties_error(component, problems)
    _tell_outputs(settings, late, component, location.region)
    return settings, location


def _read(kind: type[_S], given: Any) -> tuple[_S, list[Problem], list[Late]]:
    """The settings, what is wrong with them, and the Outputs among them."""
    problems: list[Problem] = []
    late: list[Late] = []
    try:
        settings = kind.model_validate(given, context=late)
    except ValidationError as error:
        details = [details for details in error.errors() if not is_consequence(details)]
        problems += [Problem(path_of(place_of(d)), reason_of(kind, d)) for d in details]
        settings = _incomplete(kind, given, {place_of(d) for d in details}, ())
    return settings, [*problems, *_relations(settings, "")], late


def _tell_outputs(settings: Settings, late: Sequence[Late], component: str, region: str) -> None:
    """Tell each Output what is known only now: where it stands, and what is checked of it when it resolves."""
    by_output = {id(output.checked): output for output in late}
    for holder, name, place, value in _values(settings, ()):
        output = by_output.get(id(value))
        if output is None:
            continue
        field = type(holder).model_fields[name]
        output.component, output.all, output.place = component, late, place
        if getattr(holder, name) is value and not field.is_required():
            output.default = field.get_default(call_default_factory=True)
        if name in holder.regional:
            output.more = _elsewhere(region)


def region_problems(region: str | None, location: Location) -> Iterator[Problem]:
    """Yield whether the argument `region` is another than that of the component's provider."""
    if region is not None and region != location.region:
        there = f"the component's AWS provider is in {location.region}"
        yield Problem("region", f"is {region}, but {there}; leave it out or give another provider")


def regional_problems(settings: Settings, region: str) -> Iterator[Problem]:
    """Yield the ARNs of what must be in the component's Region and is not."""
    for holder, name, place, value in _values(settings, ()):
        if name in holder.regional and isinstance(value, str) and (reason := _elsewhere(region)(value)):
            yield Problem(path_of(place), reason)


def _elsewhere(region: str) -> Callable[[str], str | None]:
    def reason(arn: str) -> str | None:
        found = arn.split(":")[3] if arn.count(":") > 3 else region
        return f"is in {found}; give one in {region}, where it is used" if found != region else None

    return reason


def _values(settings: Settings, place: Place) -> Iterator[tuple[Settings, str, Place, Any]]:
    """Yield each value at every level: the settings that hold it, by which name, its place and itself."""
    for name, field in type(settings).model_fields.items():
        yield from _values_in(settings, name, (*place, field.alias or name), getattr(settings, name, None))


def _values_in(holder: Settings, name: str, place: Place, value: Any) -> Iterator[tuple[Settings, str, Place, Any]]:
    if isinstance(value, Settings):
        yield from _values(value, place)
    elif isinstance(value, tuple):
        for index, item in enumerate(cast("tuple[Any, ...]", value)):
            yield from _values_in(holder, name, (*place, index), item)
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _values_in(holder, name, (*place, key), item)
    else:
        yield holder, name, place, value


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
    for member in members(annotation):
        origin, arguments = get_origin(member), get_args(member)
        if member is Any:
            return value
        if is_settings(member):
            return _incomplete(member, value, wrong, place)
        if origin is tuple and isinstance(value, list | tuple):
            items = enumerate(cast("Sequence[Any]", value))
            return tuple(_readable(arguments[0], item, wrong, (*place, index)) for index, item in items)
        if origin is Mapping and isinstance(value, Mapping):
            entries = cast("Mapping[str, Any]", value).items()
            known = [(key, item) for key, item in entries if isinstance(key, str) and item is not None]  # pyright: ignore[reportUnnecessaryIsInstance]
            return {key: _readable(arguments[1], item, wrong, (*place, key)) for key, item in known}
    return cast("Any", value) if isinstance(value, str | int | float | pulumi.Output) else None
