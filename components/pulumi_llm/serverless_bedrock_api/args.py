"""The arguments of ServerlessBedrockApi, and their check."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from llm_gateway.routes import Alias, Routes
from pulumi_llm.component import Mistakes, check_customize, check_keys
from pulumi_llm.models import MOCK, MOCK_TARGET, BedrockModel, ModelError, resolve
from pulumi_llm.settings import ORIGIN, RETENTION_DAYS


class ModelArgs(TypedDict):
    """A name that callers use, and the model behind it."""

    name: str
    """The alias."""
    model: str
    """A name of the catalogue, a Bedrock model id or inference profile id, or an ARN."""
    base_model: NotRequired[str]
    """For an ARN that does not tell its model: the catalogue name of the model behind it."""
    destination_regions: NotRequired[Sequence[str]]
    """Where an inference profile may run, for one whose Regions the catalogue does not have."""


class ApiKeyArgs(TypedDict):
    """An API key, made by API Gateway."""

    name: str
    """What the key is called in logs and outputs."""
    tenant: NotRequired[str]
    """Whose it is. Default: "default"."""
    models: NotRequired[Sequence[str]]
    """The aliases that it may use. Default: all."""


class ThrottleArgs(TypedDict):
    """A token bucket."""

    rate_limit: float
    """Requests a second."""
    burst_limit: int
    """Requests at once."""


class ServerlessBedrockApiArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    models: Sequence[ModelArgs]
    """The models, in order; the first is the default."""
    region: NotRequired[str]
    """The provider's Region. Default: aws:region, else AWS_REGION."""
    auth: NotRequired[str]
    """"api_key" (default) or "none", which lets anyone call."""
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
    access_logs: NotRequired[bool]
    """Log each request at the gateway; needs the account's API Gateway log role. Default: true."""
    debug: NotRequired[bool]
    """Tell causes in error answers; for development. Default: false."""
    deletion_protection: NotRequired[pulumi.Input[bool]]
    """Protect the table from deletion. Default: true."""
    web_adapter_layer_version: NotRequired[int]
    """The version of AWS's Lambda Web Adapter layer. Default: 27."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that replace or add to the component's own."""


# A STREAM integration may take 900 s, and outlives its function by this, so that the function's own error arrives.
INTEGRATION_MARGIN_SECONDS = 5


def checked(args: ServerlessBedrockApiArgs, children: Sequence[str]) -> tuple[str, list[BedrockModel]]:
    """The Region and the models. Raises `pulumi.InputPropertiesError` that lists every argument that is wrong."""
    mistakes = Mistakes("ServerlessBedrockApi")
    check_keys(mistakes, args, ServerlessBedrockApiArgs)
    check_customize(mistakes, args.get("customize"), children)
    region = args.get("region") or pulumi.Config("aws").get("region") or os.environ.get("AWS_REGION", "")
    if not region:
        mistakes.add("region", "is not known; set it, or aws:region, or AWS_REGION")
    aliases = [str(model.get("name", "")) for model in args.get("models", ())]
    models = _models(mistakes, args.get("models", ()), region)
    _check_keys_of_callers(mistakes, args.get("keys"), aliases)
    for name, throttle in (("throttle", args.get("throttle")), ("stage_throttle", args.get("stage_throttle"))):
        if throttle is not None:
            check_keys(mistakes, throttle, ThrottleArgs, f"{name}.")
    if args.get("auth", "api_key") not in ("api_key", "none"):
        mistakes.add("auth", f"must be 'api_key' or 'none', not {args.get('auth')!r}")
    origin = args.get("cors_allow_origin", "*")
    if not re.fullmatch(ORIGIN, origin):
        mistakes.add("cors_allow_origin", f"must be an origin such as https://chat.example.com, or '*', not {origin!r}")
    timeout = args.get("timeout_seconds", 300)
    if not 10 <= timeout <= 900 - INTEGRATION_MARGIN_SECONDS:
        mistakes.add("timeout_seconds", f"must be between 10 and {900 - INTEGRATION_MARGIN_SECONDS}, not {timeout}")
    retention = args.get("log_retention_days", 30)
    if isinstance(retention, int) and retention not in RETENTION_DAYS:
        mistakes.add("log_retention_days", f"must be one of {', '.join(map(str, RETENTION_DAYS))}, not {retention}")
    mistakes.check()
    return region, models


def _models(mistakes: Mistakes, given: Sequence[ModelArgs], region: str) -> list[BedrockModel]:
    if not given:
        mistakes.add("models", "must hold at least one model")
    names: list[str] = []
    models: list[BedrockModel] = []
    for index, model in enumerate(given):
        if not check_keys(mistakes, model, ModelArgs, f"models[{index}]."):
            continue
        if model["name"] in names:
            mistakes.add(f"models[{index}].name", f"{model['name']!r} is there already")
        names.append(model["name"])
        if model["model"] == MOCK or not region:
            continue
        try:
            models.append(
                resolve(
                    model["model"],
                    region,
                    base_model=model.get("base_model", ""),
                    destination_regions=model.get("destination_regions", ()),
                )
            )
        except ModelError as error:
            mistakes.add(f"models[{index}].model", str(error))
    return models


def _check_keys_of_callers(mistakes: Mistakes, given: Sequence[ApiKeyArgs] | None, aliases: Sequence[str]) -> None:
    if given is not None and not given:
        mistakes.add("keys", "must hold at least one key")
    names: list[str] = []
    for index, key in enumerate(given or ()):
        if not check_keys(mistakes, key, ApiKeyArgs, f"keys[{index}]."):
            continue
        if key["name"] in names:
            mistakes.add(f"keys[{index}].name", f"{key['name']!r} is there already")
        names.append(key["name"])
        for alias in key.get("models", ()):
            if alias not in aliases:
                mistakes.add(f"keys[{index}].models", f"{alias!r} is not among the models {', '.join(aliases)}")


def routes_of(args: ServerlessBedrockApiArgs, models: Sequence[BedrockModel]) -> Routes:
    resolved = iter(models)
    return Routes(
        aliases=tuple(
            Alias(
                name=model["name"],
                targets=(MOCK_TARGET if model["model"] == MOCK else next(resolved).target(),),
            )
            for model in args["models"]
        )
    )
