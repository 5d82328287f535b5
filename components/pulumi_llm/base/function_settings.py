"""The description of what a user adds to a function: its network, policies and environment variables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field

from llm_gateway import environment as variables
from pulumi_llm.base.policy_documents import IDENTITY, check_statements
from pulumi_llm.base.settings import Input, Name, Problem, SecurityGroupId, Settings, SubnetId, form
from pulumi_llm.base.variables import kept, variable_name

PolicyArn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:iam::(aws|\d{12}):policy/[\w+=,.@/-]+",
        "the ARN of a managed policy, such as arn:aws:iam::ACCOUNT:policy/NAME",
    ),
]


# https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html
LayerArn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[A-Za-z0-9-_]+:\d+",
        "the ARN of a layer's version, such as arn:aws:lambda:us-east-1:ACCOUNT:layer:NAME:1",
    ),
]


class VpcSettings(Settings):
    """The network of a function. What the function calls must be reachable from there: Bedrock, Secrets Manager, the providers
    and the queues that wake them, by a NAT gateway or by endpoints."""

    # As many as Lambda takes. https://docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html
    subnet_ids: Input[Annotated[tuple[Input[SubnetId], ...], Field(min_length=1, max_length=16)]]
    """The subnets, private ones in several zones."""
    security_group_ids: Input[Annotated[tuple[Input[SecurityGroupId], ...], Field(min_length=1, max_length=5)]]
    """The security groups, which must let the function call out."""


def _statements(statements: tuple[Any, ...]) -> tuple[Mapping[str, Any], ...]:
    check_statements(statements, IDENTITY, ("Action", "Resource"))
    return statements


class PolicySettings(Settings):
    """What a function may do besides what the component lets it."""

    free_text = ("inline",)

    managed: Annotated[Mapping[Name, Input[PolicyArn]], Field(max_length=20)] = Field(default_factory=dict)
    """The ARNs of managed policies, by names of your choice. Default: none."""
    # The items are not described as maps: Pulumi's SDK for Go has no type of maps of lists of maps.
    inline: Mapping[Name, Input[Annotated[tuple[Any, ...], Field(min_length=1), AfterValidator(_statements)]]] = Field(
        default_factory=dict
    )
    """Lists of statements, in IAM's own form, by names of your choice; each becomes an inline policy. Default: none."""


# Lambda's bound on names and values together, and how much of it the component's own variables may take.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ENVIRONMENT_BYTES = 4_096
OWN_ENVIRONMENT_BYTES = 512

_OWN = tuple(value for name, value in vars(variables).items() if name.isupper() and isinstance(value, str))
_PROVIDER = "PROVIDER_"


def _variable_name(name: str) -> str:
    if name in _OWN or name.startswith(_PROVIDER):
        raise ValueError(f"{name!r} is a variable of the component's own; give another name")
    # The Web Adapter's variables and those of AWS's libraries begin so, too.
    if name.startswith("AWS_"):
        raise kept(name)
    return name


_VariableName = Annotated[str, AfterValidator(variable_name), AfterValidator(_variable_name)]
# A value may have several lines, such as a certificate.
Variables = Mapping[_VariableName, Input[Annotated[str, Field(strict=True)]]]


def bytes_of(environment: Mapping[str, Any]) -> int:
    """How much of a function's environment these variables take. Outputs count by their names alone."""
    known = {name: value if isinstance(value, str) else "" for name, value in environment.items()}
    return sum(len(f"{name}{value}".encode()) for name, value in known.items())


def environment_problems(own: Mapping[str, Any] | None, others: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield whether a user's variables leave no room for the component's and for `others`, those of what is routed."""
    taken = OWN_ENVIRONMENT_BYTES + bytes_of(others) + bytes_of(own or {})
    if own and taken > ENVIRONMENT_BYTES:
        reason = (
            f"takes {bytes_of(own):,} bytes, and with the component's and the providers' own variables these "
            f"are {taken:,} of the {ENVIRONMENT_BYTES:,} that Lambda takes; give fewer or shorter ones"
        )
        yield Problem("environment", reason)


def listed(items: Sequence[Any] | Any) -> Any:
    """A list of a setting, as a resource takes it: a tuple as a list, an Output as it is."""
    return list(cast("Sequence[Any]", items)) if isinstance(items, tuple) else items
