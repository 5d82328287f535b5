"""The arguments of ServerlessBedrockApi, and their check."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict, cast

import pulumi

from pulumi_llm import routing
from pulumi_llm.base.component import Mistakes, check_customize, check_keys
from pulumi_llm.base.iam import ROLE_POLICY_CHARACTERS, invoke_models, policy_document, read_secrets
from pulumi_llm.routing import Routing
from pulumi_llm.stack_settings import AUTHS, ISSUER, ORIGIN, RETENTION_DAYS, RETENTION_RULE


class ProviderArgs(TypedDict):
    """A provider of models that is called over HTTP, with a key of its own."""

    type: str
    """What it speaks: "openai_compatible" (OpenAI, DeepSeek, vLLM and others) or "anthropic"."""
    base_url: NotRequired[pulumi.Input[str]]
    """What its clients call the base URL: with the /v1 where an OpenAI-compatible one has it, without it for Anthropic's.
    Default for "anthropic": https://api.anthropic.com; else required."""
    secret_arn: NotRequired[pulumi.Input[str]]
    """The Secrets Manager secret that holds the key: alone, or as `api_key` of a JSON object. The whole ARN, in the API's
    Region. Default: no key is sent."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""


class TargetArgs(TypedDict):
    """One of the models behind an alias. What bounds a provider's model is told here; the catalogue knows it of Bedrock's."""

    model: str
    """As in ModelArgs; for a provider's target the provider's own id of the model."""
    provider: NotRequired[str]
    """The name of a provider. Default: "bedrock"."""
    base_model: NotRequired[str]
    """For a Bedrock ARN that does not tell its model: the catalogue name of the model behind it."""
    destination_regions: NotRequired[Sequence[str]]
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have."""
    weight: NotRequired[int]
    """Its share under the strategy "weight", 1 to 1,000. Default: 1."""
    short_prompt_tokens: NotRequired[int]
    """Under the strategy "workload": this is a small model, which is preferred for prompts up to that size."""
    context_tokens: NotRequired[int]
    """How much it reads and writes in all. Required at a provider's target, and only there."""
    max_output_tokens: NotRequired[int]
    """How much it answers at most. Required at a provider's target, and only there."""
    accepts: NotRequired[Sequence[str]]
    """What a provider's model takes, of "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools" and
    "reasoning_effort", "reasoning_content". Default: all but these two."""
    exclusive: NotRequired[Sequence[str]]
    """Of which a provider's model takes only one. Default: none; for "anthropic" temperature and top_p."""
    temperature_max: NotRequired[float]
    """The highest temperature that a provider's model takes, at most 2. Default: 2; for "anthropic" 1."""
    stop_max: NotRequired[int]
    """The most stop sequences that a provider's model takes. Default: 4; for "anthropic" any number."""
    max_tokens_name: NotRequired[str]
    """What an OpenAI-compatible provider calls the bound of the answer: "max_tokens" (default) or "max_completion_tokens"."""


class ModelArgs(TypedDict):
    """A name that callers use, and the model or the targets behind it."""

    name: str
    """The alias."""
    model: NotRequired[str]
    """A name of the catalogue, a Bedrock model id or inference profile id, an ARN, or "mock". Required without targets."""
    base_model: NotRequired[str]
    """For an ARN that does not tell its model: the catalogue name of the model behind it."""
    destination_regions: NotRequired[Sequence[str]]
    """Where an inference profile may run, for one whose Regions the catalogue does not have."""
    targets: NotRequired[Sequence[TargetArgs]]
    """Several models in the place of one: where one fails, the next answers."""
    strategy: NotRequired[str]
    """Which target is asked first: "priority" (default) the first one, "weight" by shares, "latency" the quickest, "workload"
    small models for short prompts."""
    retries: NotRequired[int]
    """How often targets that may recover are asked again, 0 to 5. Default: 2."""
    first_token_seconds: NotRequired[float]
    """How long a target that streams may take to begin where another could answer, 1 to 300. Default: 30."""
    stall_seconds: NotRequired[float]
    """How long a stream may be silent, 5 to 300. Default: 60."""


class ThrottleArgs(TypedDict):
    """A token bucket."""

    rate_limit: float
    """Requests a second."""
    burst_limit: int
    """Requests at once."""


STAGE_THROTTLE = ThrottleArgs(rate_limit=100, burst_limit=200)


class ApiKeyArgs(TypedDict):
    """An API key, made by API Gateway."""

    name: str
    """What the key is called in logs and outputs."""
    tenant: NotRequired[str]
    """Whose it is. Default: "default"."""
    models: NotRequired[Sequence[str]]
    """The aliases that it may use. Default: all."""
    throttle: NotRequired[ThrottleArgs]
    """Its own rate. Default: the API's."""
    daily_quota: NotRequired[int]
    """Its own requests a day. Default: the API's."""


class JwtArgs(TypedDict):
    """The JSON Web Tokens of an OpenID Connect issuer, signed with RS256, which every such issuer has."""

    issuer: str
    """The issuer's URL, as it stands in a token's `iss`. Its keys are found by its discovery document."""
    audiences: Sequence[str]
    """What a token's `aud` must hold one of."""
    tenant_claim: NotRequired[str]
    """The claim that tells the tenant. Default: "sub"."""
    models_claim: NotRequired[str]
    """The claim that lists the aliases allowed. Default: none, which allows all."""


class DomainArgs(TypedDict):
    """A custom domain."""

    name: str
    """The host name."""
    certificate_arn: pulumi.Input[str]
    """Its certificate in ACM, in the API's Region."""
    zone_id: NotRequired[pulumi.Input[str]]
    """The public Route 53 zone in which its record is made. Default: the record is yours to make."""


class ServerlessBedrockApiArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    models: Sequence[ModelArgs]
    """The models, in order; the first is the default."""
    providers: NotRequired[Mapping[str, ProviderArgs]]
    """Providers of models besides Bedrock, by the names that targets have for them. Default: none."""
    region: NotRequired[str]
    """The provider's Region. Default: aws:region, else AWS_REGION."""
    auth: NotRequired[str]
    """Who may call: "api_key" (default), "jwt", "iam" (AWS signatures), or "none", which lets anyone."""
    jwt: NotRequired[JwtArgs]
    """The tokens that are accepted; with `auth` "jwt" only."""
    authorizer_cache_seconds: NotRequired[int]
    """How long API Gateway trusts an authorizer's answer, 0 to 3,600. With more than 0 a key must come as Authorization.
    Default: 0; the authorizer itself remembers a key for a minute."""
    keys: NotRequired[Sequence[ApiKeyArgs]]
    """The keys. Default: one, named "default"."""
    throttle: NotRequired[ThrottleArgs]
    """A key's rate. Default: 10 requests a second, 20 at once."""
    daily_quota: NotRequired[pulumi.Input[int]]
    """A key's requests a day. Default: 1,000."""
    stage_throttle: NotRequired[ThrottleArgs]
    """The whole API's rate, whoever calls. Default: 100 requests a second, 200 at once."""
    cors_allow_origin: NotRequired[str]
    """The origin that browsers may call from. Default: any."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """The function's memory in MB. Default: 512."""
    timeout_seconds: NotRequired[int]
    """How long an answer may take, 10 to 895. Default: 300."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept. Default: 30."""
    reserved_concurrency: NotRequired[pulumi.Input[int]]
    """The most answers at once, taken from the account's limit. Default: none reserved."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of logs, table and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    tracing: NotRequired[bool]
    """Trace requests with X-Ray. Default: false."""
    domain: NotRequired[DomainArgs]
    """A custom domain. Default: API Gateway's own address."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/llm/prod". Default: none are made."""
    access_logs: NotRequired[bool]
    """Log each request at the gateway; needs the account's API Gateway log role. Default: true."""
    debug: NotRequired[bool]
    """Tell causes in error answers; for development. Default: false."""
    deletion_protection: NotRequired[bool]
    """Protect the table of keys from deletion, in AWS and in Pulumi: `pulumi destroy` refuses as a whole. Default: true."""
    web_adapter_layer_version: NotRequired[int]
    """The version of AWS's Lambda Web Adapter layer. Default: 27."""
    web_adapter_layer_arn: NotRequired[pulumi.Input[str]]
    """Another Web Adapter layer (arm64), such as a copy in your own account. Default: AWS's."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that replace or add to the component's own."""


# A STREAM integration may take 900 s, and outlives its function by this, so that the function's own error arrives.
INTEGRATION_MARGIN_SECONDS = 5


def checked(args: ServerlessBedrockApiArgs, children: Sequence[str]) -> tuple[str, Routing]:
    """The Region and what is routed where. Raises `pulumi.InputPropertiesError` that lists every argument that is wrong."""
    mistakes = Mistakes("ServerlessBedrockApi")
    check_keys(mistakes, args, ServerlessBedrockApiArgs)
    check_customize(mistakes, args.get("customize"), children)
    region = args.get("region") or pulumi.Config("aws").get("region") or os.environ.get("AWS_REGION", "")
    if not region:
        mistakes.add("region", "is not known; set it, or aws:region, or AWS_REGION")
    found = _routing(mistakes, args, region)
    aliases = [str(model.get("name", "")) for _, model in _each("models", args.get("models"))]
    _check_keys_of_callers(mistakes, args.get("keys"), aliases)
    for name, throttle in (("throttle", args.get("throttle")), ("stage_throttle", args.get("stage_throttle"))):
        if throttle is not None:
            check_keys(mistakes, throttle, ThrottleArgs, f"{name}.")
    _check_auth(mistakes, args)
    if "domain" in args:
        check_keys(mistakes, args["domain"], DomainArgs, "domain.")
    prefix = args.get("parameter_prefix", "")
    if prefix and not re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", prefix):
        mistakes.add("parameter_prefix", f"must be a path such as /llm/prod, not {prefix!r}")
    origin = args.get("cors_allow_origin", "*")
    if not re.fullmatch(ORIGIN, origin):
        mistakes.add("cors_allow_origin", f"must be an origin such as https://chat.example.com, or '*', not {origin!r}")
    timeout = args.get("timeout_seconds", 300)
    if not 10 <= timeout <= 900 - INTEGRATION_MARGIN_SECONDS:
        mistakes.add("timeout_seconds", f"must be between 10 and {900 - INTEGRATION_MARGIN_SECONDS}, not {timeout}")
    retention = args.get("log_retention_days", 30)
    if isinstance(retention, int) and retention not in RETENTION_DAYS:
        mistakes.add("log_retention_days", f"{RETENTION_RULE}, not {retention}")
    mistakes.check()
    return region, found


def _check_auth(mistakes: Mistakes, args: ServerlessBedrockApiArgs) -> None:
    auth = args.get("auth", "api_key")
    if auth not in AUTHS:
        mistakes.add("auth", f"must be {', '.join(map(repr, AUTHS[:-1]))} or {AUTHS[-1]!r}, not {auth!r}")
    if auth == "jwt" and "jwt" not in args:
        mistakes.add("jwt", "is required with auth 'jwt': the issuer and the audiences")
    if auth in AUTHS and auth != "jwt" and "jwt" in args:
        mistakes.add("jwt", f"is only for auth 'jwt', not {auth!r}")
    if auth in AUTHS and auth != "api_key" and "keys" in args:
        mistakes.add("keys", f"are only for auth 'api_key', not {auth!r}")
    jwt = args.get("jwt")
    if jwt is not None and check_keys(mistakes, jwt, JwtArgs, "jwt."):
        if not re.fullmatch(ISSUER, jwt["issuer"]):
            mistakes.add("jwt.issuer", f"must be an https:// URL without a query, not {jwt['issuer']!r}")
        if not jwt["audiences"]:
            mistakes.add("jwt.audiences", "must hold at least one audience")
        for audience in jwt["audiences"]:
            if "," in audience or not audience:
                mistakes.add("jwt.audiences", f"{audience!r} must not be empty or hold a comma")
    cache = args.get("authorizer_cache_seconds", 0)
    if not 0 <= cache <= 3_600:
        mistakes.add("authorizer_cache_seconds", f"must be between 0 and 3600, not {cache}")


def _routing(mistakes: Mistakes, args: ServerlessBedrockApiArgs, region: str) -> Routing:
    models, providers = args.get("models", ()), args.get("providers", {})
    if not models:
        mistakes.add("models", "must hold at least one model")
    for path, provider in _each("providers", providers):
        check_keys(mistakes, provider, ProviderArgs, f"{path}.")
    for path, model in _each("models", models):
        check_keys(mistakes, model, ModelArgs, f"{path}.")
        for below, target in _each(f"{path}.targets", model.get("targets")):
            check_keys(mistakes, target, TargetArgs, f"{below}.")
    told = mistakes.paths()  # that a key is missing is said once
    found = routing.read(models, providers, region, args.get("timeout_seconds", 300))
    for path, reason in found.mistakes:
        if path not in told:
            mistakes.add(path, reason)
    # Beside the policies that name models and secrets, the role has one of at most some 500 characters for its logs.
    statements = [*invoke_models(found.models, region, "0" * 12), *read_secrets(*_shown(found), region)]
    length = len(json.dumps(policy_document(*statements), separators=(",", ":")))
    if length > ROLE_POLICY_CHARACTERS - 500:
        reason = f"need a policy of {length:,} characters, and IAM allows a role {ROLE_POLICY_CHARACTERS:,}; give fewer models"
        mistakes.add("models", reason)
    return found


def _each(path: str, values: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What has keys in a list, or in a map, with its path."""
    places: list[tuple[str, Any]] = []
    if isinstance(values, Mapping):
        places = [(f"{path}.{name}", value) for name, value in cast("Mapping[str, Any]", values).items()]
    elif isinstance(values, Sequence) and not isinstance(values, str):
        places = [(f"{path}[{index}]", value) for index, value in enumerate(cast("Sequence[Any]", values))]
    yield from ((place, value) for place, value in places if isinstance(value, Mapping))


def _shown(found: Routing) -> tuple[list[str], list[str]]:
    """The ARNs of secrets and of keys, with another of their length for each that is not known yet."""
    secrets = [arn if isinstance(arn, str) else "?" * 120 for arn in found.secret_arns]
    return secrets, [arn if isinstance(arn, str) else "?" * 80 for arn in found.kms_key_arns]


def _check_keys_of_callers(mistakes: Mistakes, given: Sequence[ApiKeyArgs] | None, aliases: Sequence[str]) -> None:
    if given is not None and not given:
        mistakes.add("keys", "must hold at least one key")
    names: list[str] = []
    for index, key in enumerate(given or ()):
        if not check_keys(mistakes, key, ApiKeyArgs, f"keys[{index}]."):
            continue
        if "throttle" in key:
            check_keys(mistakes, key["throttle"], ThrottleArgs, f"keys[{index}].throttle.")
        if key["name"] in names:
            mistakes.add(f"keys[{index}].name", f"{key['name']!r} is there already")
        names.append(key["name"])
        for alias in key.get("models", ()):
            if alias not in aliases:
                mistakes.add(f"keys[{index}].models", f"{alias!r} is not among the models {', '.join(aliases)}")
