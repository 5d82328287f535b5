"""The routes document: which aliases there are and what answers each.

The component writes it from the stack's settings and the catalogue into the deployed archive (`ROUTES_FILE`), the gateway
reads it once at its start. It carries no secret: what a deployment only knows later (an ARN) is named by an environment
variable.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from llm_gateway.request import Parameter

ROUTES_FILE = "routes.json"

# The providers that every deployment has; any other is an endpoint of the document.
BEDROCK = "bedrock"
MOCK = "mock"

Strategy = Literal["priority", "weight", "latency", "workload"]


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider that is called over HTTP, with a key of its own.

    `type` is the name of its protocol in `llm_gateway.providers.registry`. `base_url` is what its clients call the base URL,
    without a slash at its end. `secret_arn` is the Secrets Manager secret that holds the key; empty where none is asked for.
    In the document both are named by the environment variables that hold them.
    """

    name: str
    type: str
    base_url_variable: str = ""
    secret_arn_variable: str = ""
    base_url: str = ""
    secret_arn: str = ""


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model at one provider, with what it accepts.

    `name` is what callers and operators see of it, such as ``bedrock/gpt-oss-20b``. `provider` is ``bedrock``, ``mock`` or an
    endpoint's name. `model` is the provider's id for the model: for Bedrock a foundation model id, an inference profile id or
    an ARN; where it is known only after deployment, `model_variable` names the environment variable that holds it. `api` is
    Bedrock's: imported models are called by InvokeModel in OpenAI's chat format.

    Token bounds are counts, `temperature_max` is the model's own bound, `exclusive` lists parameters of which only one may be
    sent. A target that takes `tools` but not `stream_tools` is called whole where tools are offered, and its answer is sent on
    as a stream. `max_tokens_name` is what an OpenAI-compatible server calls the bound of the answer.

    `weight` is the target's share under the strategy ``weight``. `short_prompt_tokens` marks a small model under ``workload``:
    it is preferred for prompts up to that size that ask for no reasoning.
    """

    name: str
    provider: str
    model: str
    max_output_tokens: int
    context_tokens: int
    accepts: tuple[Parameter, ...]
    model_variable: str = ""
    api: Literal["converse", "invoke_model"] = "converse"
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float = 1.0
    stop_max: int | None = None
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    weight: int = 1
    short_prompt_tokens: int | None = None


class Alias(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that callers use, and the targets behind it.

    `strategy` says which target is asked first; the others follow where it fails. `retries` is how often the targets that may
    recover are asked again. A target that streams has `first_token_seconds` for its first token where another could still
    answer, and may be silent for `stall_seconds` after it.
    """

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = "priority"
    retries: int = 2
    first_token_seconds: float = 30.0
    stall_seconds: float = 60.0


class Routes(msgspec.Struct, frozen=True, omit_defaults=True):
    """All aliases, the first of which is the default, and the endpoints that their targets name."""

    aliases: tuple[Alias, ...]
    endpoints: tuple[Endpoint, ...] = ()

    def alias(self, name: str) -> Alias | None:
        """The alias of that name, the first one for an empty name, None for an unknown one."""
        if not name:
            return self.aliases[0]
        return next((alias for alias in self.aliases if alias.name == name), None)

    def names(self) -> list[str]:
        return [alias.name for alias in self.aliases]


def encode(routes: Routes) -> bytes:
    """The document as it stands in the archive: the same routes give the same bytes."""
    return msgspec.json.format(msgspec.json.encode(routes), indent=1) + b"\n"


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Routes:
    """Read the document and put the environment's values in their places.

    Raises `FileNotFoundError`, `ValueError` or `KeyError` (an environment variable that the document names is not set): a
    deployment with any of these cannot answer, so the function must not start.
    """
    routes = msgspec.json.decode(path.read_bytes(), type=Routes)
    endpoints = tuple(_endpoint(endpoint, environ) for endpoint in routes.endpoints)
    for endpoint in endpoints:
        if not endpoint.base_url.startswith(("https://", "http://")):
            raise ValueError(f"{path}: the base URL of the provider {endpoint.name!r} must start with https:// or http://")
    providers = {BEDROCK, MOCK, *(endpoint.name for endpoint in routes.endpoints)}
    for target in (target for alias in routes.aliases for target in alias.targets):
        if target.provider not in providers:
            raise ValueError(
                f"{path}: the target {target.name!r} names the provider {target.provider!r}, which is none of them"
            )
    return Routes(
        aliases=tuple(
            msgspec.structs.replace(alias, targets=tuple(_target(target, environ) for target in alias.targets))
            for alias in routes.aliases
        ),
        endpoints=endpoints,
    )


def _target(target: Target, environ: Mapping[str, str]) -> Target:
    if not target.model_variable:
        return target
    return msgspec.structs.replace(target, model=environ[target.model_variable])


def _endpoint(endpoint: Endpoint, environ: Mapping[str, str]) -> Endpoint:
    base_url, secret_arn = endpoint.base_url, endpoint.secret_arn
    if endpoint.base_url_variable:
        base_url = environ[endpoint.base_url_variable]
    if endpoint.secret_arn_variable:
        secret_arn = environ[endpoint.secret_arn_variable]
    return msgspec.structs.replace(endpoint, base_url=base_url.rstrip("/"), secret_arn=secret_arn)
