"""A stack's configuration, typed and checked: every mistake is told at once, with its path and what would be right."""

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from llm_gateway.request import Parameter
from llm_gateway.routes import BEDROCK, Strategy
from pulumi_llm import routing
from pulumi_llm.routing.values import NAME, NAME_FORM

if TYPE_CHECKING:
    from pulumi_llm.account_baseline import AccountBaselineArgs
    from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApiArgs

PROJECT = "pulumi-llm"

# CloudWatch Logs takes only these. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
RETENTION_RULE = f"must be one of {', '.join(map(str, RETENTION_DAYS))}"


def _retention(value: int) -> int:
    if value not in RETENTION_DAYS:
        raise ValueError(f"{RETENTION_RULE}, not {value}")
    return value


# Quotes are left out, for API Gateway's parameters stand in them.
ORIGIN = r"\*|https?://[A-Za-z0-9.:\[\]-]+"
REGION = r"[a-z]{2}(-[a-z]+)+-\d"

# Strict: "true" is no boolean and true is no number.
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
Retention = Annotated[Count, AfterValidator(_retention)]
Number = Annotated[float, Field(strict=True)]
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class SettingsError(pulumi.RunError):
    """The configuration is wrong; the text lists every mistake, a line each."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# What providers, models and targets may hold; what is right of it, and between them, `pulumi_llm.routing` says.


class ProviderSettings(_Settings):
    """A provider of models that is called over HTTP, with a key of its own."""

    type: str
    base_url: str | None = None
    secret_arn: str | None = None
    kms_key_arn: str | None = None


class TargetSettings(_Settings):
    """One of the models behind an alias."""

    model: str
    provider: str = BEDROCK
    base_model: str = ""
    destination_regions: tuple[str, ...] = ()
    weight: Count = 1
    short_prompt_tokens: Count | None = None
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None
    accepts: tuple[Parameter, ...] | None = None
    exclusive: tuple[Parameter, ...] | None = None
    temperature_max: Number | None = None
    stop_max: Count | None = None
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None = None


class ModelSettings(_Settings):
    """A name that callers use, and the model or the targets behind it. In the file, a string alone is name and model."""

    name: Name
    model: str = ""
    base_model: str = ""
    destination_regions: tuple[str, ...] = ()
    targets: tuple[TargetSettings, ...] = ()
    strategy: Strategy = "priority"
    retries: Count = 2
    first_token_seconds: Number = 30
    stall_seconds: Number = 60

    @model_validator(mode="before")
    @classmethod
    def _both(cls, value: Any) -> Any:
        return {"name": value, "model": value} if isinstance(value, str) else value


# Who may call. "iam": AWS signatures.
Auth = Literal["api_key", "jwt", "iam", "none"]
AUTHS = get_args(Auth)
# Loopback is for a local run with an issuer on the same machine.
ISSUER = r"https://[^\s?#]+|http://(127\.0\.0\.1|localhost)(:\d+)?[^\s?#]*"


class ThrottleSettings(_Settings):
    """Requests a second, and how many at once above that. API Gateway's account limit is 10,000 and 5,000."""

    rate_limit: Annotated[float, Field(strict=True)] = Field(default=10, ge=0.1, le=10_000)
    burst_limit: Count = Field(default=20, ge=1, le=5_000)


class ApiKeySettings(_Settings):
    """A key that API Gateway makes: whose it is, and which models it may use (none named: all)."""

    name: Name
    tenant: Name = "default"
    models: tuple[str, ...] = ()
    throttle: ThrottleSettings | None = None
    daily_quota: Annotated[int, Field(strict=True, ge=1, le=2_147_483_647)] | None = None


class JwtSettings(_Settings):
    """The tokens of an OpenID Connect issuer."""

    issuer: str = Field(pattern=f"^({ISSUER})$")
    audiences: tuple[Annotated[str, Field(pattern=r"^[^,\s]+$")], ...] = Field(min_length=1)
    tenant_claim: str = Field(default="sub", min_length=1)
    models_claim: str = ""


class DomainSettings(_Settings):
    """A custom domain."""

    name: str = Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")
    certificate_arn: str = Field(pattern=r"^arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/\S+$")
    zone_id: str | None = None


class ApiSettings(_Settings):
    """The serverless chat API. Each key is explained in docs/settings.md."""

    enabled: Flag = True
    auth: Auth = "api_key"
    jwt: JwtSettings | None = None
    authorizer_cache_seconds: Count = Field(default=0, ge=0, le=3_600)
    keys: tuple[ApiKeySettings, ...] = Field(default=(ApiKeySettings(name="default"),), min_length=1)
    throttle: ThrottleSettings = ThrottleSettings()
    stage_throttle: ThrottleSettings = ThrottleSettings(rate_limit=100, burst_limit=200)
    daily_quota: Count = Field(default=1_000, ge=1, le=2_147_483_647)
    cors_allow_origin: str = Field(default="*", pattern=f"^({ORIGIN})$")
    memory_mb: Count = Field(default=512, ge=256, le=10_240)
    timeout_seconds: Count = Field(default=300, ge=10, le=895)
    log_retention_days: Retention = 30
    reserved_concurrency: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    kms_key_arn: Annotated[str, Field(pattern=r"^arn:aws:kms:[a-z0-9-]+:\d{12}:key/\S+$")] | None = None
    tracing: Flag = False
    domain: DomainSettings | None = None
    parameters: Flag = True
    access_logs: Flag = True
    debug: Flag = False
    deletion_protection: Flag = True
    web_adapter_layer_version: Count = Field(default=27, ge=1)


class AccountBaselineSettings(_Settings):
    """What an account or Region has only once; each part is set only where it is asked for, in one stack of the account."""

    api_gateway_logs: Flag = False
    github_oidc: Flag = False
    cost_anomalies: Flag = False
    bedrock_invocation_logs: Flag = False
    log_retention_days: Retention = 30

    @property
    def enabled(self) -> bool:
        return self.api_gateway_logs or self.github_oidc or self.cost_anomalies or self.bedrock_invocation_logs


class Settings(_Settings):
    """The whole configuration of a stack.

    `development` allows what only a developer's own environment may do: no authentication, error details in answers.
    """

    environment: Name
    region: str = Field(alias="aws:region", pattern=f"^{REGION}$")
    owner: str = ""
    development: Flag = False
    tags: Mapping[str, str] = Field(default_factory=dict)
    providers: Mapping[str, ProviderSettings] = Field(default_factory=dict)
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    account_baseline: AccountBaselineSettings = AccountBaselineSettings()
    api: ApiSettings = ApiSettings()

    def all_tags(self) -> dict[str, str]:
        """The tags of every resource: the configuration's own win."""
        own = {"Project": PROJECT, "Environment": self.environment, "ManagedBy": "Pulumi"}
        return {**own, **({"Owner": self.owner} if self.owner else {}), **self.tags}

    def account_baseline_args(self) -> "AccountBaselineArgs":
        """The arguments of what the account has only once."""
        return cast("AccountBaselineArgs", {**self.account_baseline.model_dump(), "tags": self.all_tags()})

    def api_args(self) -> "ServerlessBedrockApiArgs":
        """The arguments of the serverless chat API."""
        api = self.api.model_dump(exclude={"enabled", "parameters"}, exclude_none=True)
        if self.api.auth != "api_key":
            del api["keys"]
        if self.api.parameters:
            api["parameter_prefix"] = f"/{PROJECT}/{self.environment}/chat"
        api["models"] = [model.model_dump(exclude_unset=True) for model in self.models]
        if self.providers:
            api["providers"] = {name: each.model_dump(exclude_unset=True) for name, each in self.providers.items()}
        return cast("ServerlessBedrockApiArgs", {**api, "region": self.region, "tags": self.all_tags()})


# The keys at the top whose value is text, whatever it looks like.
_TEXTS = ("environment", "owner")


def load() -> Settings:
    """The running stack's configuration. Raises `SettingsError` that lists every mistake."""
    values = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    raw: dict[str, Any] = {"environment": pulumi.get_stack(), "owner": os.environ.get("OWNER", "")}
    for key, value in values.items():
        namespace, _, name = key.partition(":")
        if namespace == PROJECT:
            raw[name] = value if name in _TEXTS else _parsed(value)
    raw["aws:region"] = values.get("aws:region") or os.environ.get("AWS_REGION", "")
    return parse(raw)


def parse(raw: Mapping[str, Any]) -> Settings:
    """Settings from plain values. Raises `SettingsError` that lists every mistake."""
    settings, mistakes = None, list[tuple[str, str]]()
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        mistakes += [(_path(details), _reason(details)) for details in error.errors() if not _follows(details)]
    told = {path for path, _ in mistakes}  # that a value is of the wrong type is said once
    mistakes += [mistake for mistake in _routing_mistakes(raw) if mistake[0] not in told]
    lines = [*(f"{path}: {reason}" for path, reason in mistakes), *_rule_lines(raw)]
    if lines or settings is None:
        count = f"{len(lines)} mistakes" if len(lines) > 1 else "a mistake"
        raise SettingsError("\n".join([f"the configuration has {count}:", *(f"  {line}" for line in lines)]))
    return settings


def _parsed(value: Any) -> Any:
    """A configuration value: the engine hands structured ones, numbers and booleans over as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


# What pydantic cannot see: the routing, and rules between fields. Both read the raw values, so that a mistake elsewhere does
# not hide theirs.


def _routing_mistakes(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    region = raw.get("aws:region")
    known_region = region if isinstance(region, str) and re.fullmatch(REGION, region) else ""
    timeout = _mapping(raw.get("api")).get("timeout_seconds", ApiSettings().timeout_seconds)
    for path, reason in routing.read(raw.get("models"), raw.get("providers"), known_region, timeout).mistakes:
        yield f"{PROJECT}:{path}", reason


def _rule_lines(raw: Mapping[str, Any]) -> Iterator[str]:
    api = _mapping(raw.get("api"))
    development = raw.get("development") is True
    if api.get("auth") == "none" and not development:
        yield (
            f"{PROJECT}:api.auth: 'none' lets anyone spend this account's money; use 'api_key', or set "
            f"{PROJECT}:development to true in a developer's own environment"
        )
    auth = api.get("auth", "api_key")
    if auth == "jwt" and "jwt" not in api:
        yield f"{PROJECT}:api.jwt: is required with auth 'jwt': the issuer and the audiences"
    if auth in AUTHS and auth != "jwt" and "jwt" in api:
        yield f"{PROJECT}:api.jwt: is only for auth 'jwt', not {auth!r}"
    if auth in AUTHS and auth != "api_key" and "keys" in api:
        yield f"{PROJECT}:api.keys: are only for auth 'api_key', not {auth!r}"
    if api.get("debug") is True and not development:
        yield f"{PROJECT}:api.debug: shows causes to callers, so it needs {PROJECT}:development to be true"
    aliases = set(_aliases(raw.get("models")))
    names: set[str] = set()
    for index, key in _valid(ApiKeySettings, api.get("keys")):
        if key.name in names:
            yield f"{PROJECT}:api.keys[{index}].name: {key.name!r} is there already; every key needs a name of its own"
        names.add(key.name)
        for position, model in enumerate(key.models):
            if aliases and model not in aliases:
                yield (
                    f"{PROJECT}:api.keys[{index}].models[{position}]: {model!r} is not among the models; choose of "
                    f"{', '.join(sorted(aliases))}"
                )


def _aliases(models: Any) -> Iterator[str]:
    """Every alias that is named, in a model that is otherwise wrong, too."""
    for model in cast("list[Any]", models) if isinstance(models, list) else []:
        name = model if isinstance(model, str) else _mapping(model).get("name")
        if isinstance(name, str):
            yield name


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


_T = TypeVar("_T", bound=_Settings)


def _valid(kind: type[_T], items: Any) -> Iterator[tuple[int, _T]]:
    """The items of a list that are well-formed, with their places."""
    for index, item in enumerate(cast("list[Any]", items) if isinstance(items, list) else []):
        try:
            yield index, kind.model_validate(item)
        except ValidationError:
            continue


# Pydantic's errors in our words.


def _follows(error: ErrorDetails) -> bool:
    """Whether an error only follows from others: a list is too short because its items are wrong."""
    return error["type"] == "too_short" and bool(error["input"])


def _path(error: ErrorDetails) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).removeprefix(".")
    return path if path == "aws:region" else f"{PROJECT}:{path}"


def _reason(error: ErrorDetails) -> str:
    given, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required, but not set"
        case "extra_forbidden":
            known = _known_at(error["loc"][:-1])
            near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
            return f"is not known; did you mean {near[0]!r}?" if near else f"is not known; there are {', '.join(known)}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {given}"
        case "less_than_equal":
            return f"must be at most {context['le']}, not {given}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"must be a whole number, not {given!r}"
        case "float_parsing" | "float_type":
            return f"must be a number, not {given!r}"
        case "bool_parsing" | "bool_type":
            return f"must be true or false, not {given!r}"
        case "string_type":
            return f"must be a string, not {given!r}"
        case "tuple_type" | "list_type":
            return f"must be a list, not {given!r}"
        case "dict_type" | "model_type" | "mapping_type" | "model_attributes_type":
            return f"must hold keys and values, not {given!r}"
        case "literal_error":
            return f"must be {context['expected']}, not {given!r}"
        case "too_short":
            return f"must hold at least {context['min_length']}"
        case "string_pattern_mismatch":
            return f"{given!r} is not of the form {_FORMS.get(context['pattern'], context['pattern'])}"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{error['msg']}, not {given!r}"


_FORMS = {
    f"^{NAME}$": f"of {NAME_FORM}",
    f"^{REGION}$": "of a Region, such as us-east-1",
    f"^({ISSUER})$": "of an issuer, such as https://id.example.com",
    f"^({ORIGIN})$": "of an origin, such as https://chat.example.com, or '*'",
}


def _known_at(path: tuple[int | str, ...]) -> list[str]:
    """The keys that there are at a place of the configuration."""
    kind: Any = Settings
    named = False  # the next part is a name that the configuration gives
    for part in path:
        if isinstance(part, int) or named:
            named = False
            continue
        annotation = kind.model_fields[part].annotation
        named = get_origin(annotation) is Mapping
        arguments = [argument for argument in getattr(annotation, "__args__", ()) if isinstance(argument, type)]
        kind = next((a for a in [annotation, *arguments] if isinstance(a, type) and issubclass(a, BaseModel)), None)
        if kind is None:
            return []
    return sorted(name for name in kind.model_fields if not (kind is Settings and name == "region"))
