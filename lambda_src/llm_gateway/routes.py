"""The routes document: the aliases, and the targets behind each.

The component writes it from the stack's settings and the catalogue into the deployed archive (`ROUTES_FILE`), and the gateway
reads it once when it starts. It holds no secret. Values that are known only at deployment, such as an ARN, are in environment
variables that it names.
"""

import os
from collections.abc import Mapping
from typing import Literal

import msgspec

from llm_gateway.answer_cache import AnswerCache
from llm_gateway.limits import CallerLimits
from llm_gateway.metrics import Metrics
from llm_gateway.request import Kind, Parameter
from llm_gateway.retrieval import Retrieval
from llm_gateway.rules import Rule
from llm_gateway.safety import Safety
from llm_gateway.trace import Tracing

ROUTES_FILE = "routes.json"

# The providers that every deployment has; any other is an endpoint of the document.
BEDROCK = "bedrock"
MOCK = "mock"

Strategy = Literal["priority", "weight", "latency", "workload"]
# How thinking stands in the text of an answer: between tags that are both written, or the prompt's template has opened it.
ThinkTags = Literal["written", "opened"]


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider that is called over HTTP, with a key of its own.

    `type` is the name of its protocol in `llm_gateway.providers.registry`. `base_url` is its base URL without a slash at the
    end. `secret_arn` is the Secrets Manager secret with its key, empty if it needs none. `wake_queue_url` is the SQS queue that
    is told when its servers are wanted and do not answer, empty if there is none. The document names the environment variables
    that hold these three. `stickiness_cookie` is the cookie with which its load balancer keeps a conversation at one server.
    `cache_salt` says whether its servers take a salt for their prefix cache, `trace_context` whether they are told the trace of
    a request.
    """

    name: str
    type: str
    base_url_variable: str = ""
    secret_arn_variable: str = ""
    wake_queue_url_variable: str = ""
    base_url: str = ""
    secret_arn: str = ""
    wake_queue_url: str = ""
    stickiness_cookie: str = ""
    cache_salt: bool = False
    trace_context: bool = False


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a million tokens cost, in micro-dollars: of the request, of the answer, and of the part of a request that is read
    from the provider's prompt cache, or written to it, for some minutes or for an hour."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_hour: int


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model of one provider, and the parameters that it accepts.

    `name` is shown to callers and operators, such as ``bedrock/gpt-oss-20b``. `provider` is ``bedrock``, ``mock`` or the name
    of an endpoint. `model` is the provider's id of the model: for Bedrock the id of a foundation model or an inference profile,
    or an ARN. If it is known only at deployment, `model_variable` names the environment variable that holds it. `api` is the
    operation of Bedrock: imported models are called with InvokeModel in OpenAI's chat format, models of embeddings with
    InvokeModel in the format of their maker.

    `max_output_tokens` and `context_tokens` are in tokens. `temperature_max` is the model's limit. Of the parameters in
    `exclusive` only one may be sent. If a target accepts `tools` but not `stream_tools`, a request with tools is not streamed
    from it, and its complete answer is sent on as a stream. `max_tokens_name` is the name of the limit of output tokens at an
    OpenAI-compatible server.

    `cache_prompts` sets cache points after the tools, the system text and the last message of each request. `think_tags`: the
    model's thinking comes within its text and is split off, see `llm_gateway.think_tags`.

    `weight` is the target's share with the strategy ``weight``. `short_prompt_tokens` is for the strategy ``workload``: it
    marks a small model, which is preferred for prompts of up to that many tokens that ask for no reasoning.

    A target whose `kind` is ``embedding`` makes embeddings and does not chat: `context_tokens` is the limit of one text,
    `text_characters` the limit of its characters, if there is one. `dimensions` are the lengths that its vectors can have, the
    model's own first; empty: the provider decides.

    `price` is there where callers have limits of money, and, as far as it is known, where costs are
    counted. `regions` are all
    places that a request's data may go to, that of the gateway among them; empty: nobody knows them, or it may go anywhere.
    """

    name: str
    provider: str
    model: str
    max_output_tokens: int
    context_tokens: int
    accepts: tuple[Parameter, ...]
    model_variable: str = ""
    api: Literal["converse", "invoke_model", "titan_embed", "cohere_embed"] = "converse"
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float = 1.0
    stop_max: int | None = None
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    cache_prompts: bool = False
    think_tags: ThinkTags | None = None
    weight: int = 1
    short_prompt_tokens: int | None = None
    kind: Kind = "chat"
    text_characters: int | None = None
    dimensions: tuple[int, ...] = ()
    price: Price | None = None
    regions: tuple[str, ...] = ()


# What an alias has where settings do not say.
RETRIES = 2
FIRST_TOKEN_SECONDS = 30.0
STALL_SECONDS = 60.0
DEFAULT_MAX_TOKENS = 16_384


class Alias(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name that callers use, and the targets behind it.

    `strategy` chooses the target that is asked first; the others are asked if it fails. `retries` is how often the targets that
    may recover are asked again. A target that streams has `first_token_seconds` for its first token if another target could
    still answer, and may be silent for `stall_seconds` after that. `default_max_tokens` is the bound of an answer where
    neither the caller nor the API format gives one.
    """

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = "priority"
    retries: int = RETRIES
    first_token_seconds: float = FIRST_TOKEN_SECONDS
    stall_seconds: float = STALL_SECONDS
    default_max_tokens: int = DEFAULT_MAX_TOKENS

    @property
    def kind(self) -> Kind:
        """What its targets are for. All are for the same."""
        return self.targets[0].kind


class Routes(msgspec.Struct, frozen=True, omit_defaults=True):
    """All aliases, of which the first is the default, the endpoints that their targets name, the limits and rules of callers,
    where metrics are, what conversations are checked for, how answers are cached, which have passages of a knowledge base, and
    where traces are sent. `costs`: the record of a request says what it has cost.
    """

    aliases: tuple[Alias, ...]
    endpoints: tuple[Endpoint, ...] = ()
    limits: CallerLimits | None = None
    metrics: Metrics | None = None
    safety: Safety | None = None
    rules: tuple[Rule, ...] = ()
    cache: AnswerCache | None = None
    retrieval: Retrieval | None = None
    tracing: Tracing | None = None
    costs: bool = False

    def alias(self, name: str) -> Alias | None:
        """Return the alias of that name, the first one for an empty name, None for an unknown name."""
        if not name:
            return self.aliases[0]
        return next((alias for alias in self.aliases if alias.name == name), None)

    def names(self, kind: Kind | None = None) -> list[str]:
        """The names of the aliases, with `kind` of those of that kind."""
        return [alias.name for alias in self.aliases if kind is None or alias.kind == kind]


def encode(routes: Routes) -> bytes:
    """Return the document as it is in the archive. The same routes give the same bytes."""
    return msgspec.json.format(msgspec.json.encode(routes), indent=1) + b"\n"


def load(path: "str | os.PathLike[str]", environ: Mapping[str, str] = os.environ) -> Routes:
    """Read the document and fill in the values of the environment variables that it names.

    Raises `FileNotFoundError`, `ValueError`, or `KeyError` for a variable that is not set. Such a deployment cannot answer, so
    the function must not start.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - a start needs no pathlib
        routes = msgspec.json.decode(file.read(), type=Routes)
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
        limits=routes.limits,
        metrics=routes.metrics,
        safety=routes.safety,
        rules=routes.rules,
        cache=routes.cache,
        retrieval=routes.retrieval,
        tracing=routes.tracing and _tracing(routes.tracing, environ),
        costs=routes.costs,
    )


def _target(target: Target, environ: Mapping[str, str]) -> Target:
    if not target.model_variable:
        return target
    return msgspec.structs.replace(target, model=environ[target.model_variable])


def _tracing(tracing: Tracing, environ: Mapping[str, str]) -> Tracing:
    if not tracing.secret_arn_variable:
        return tracing
    return msgspec.structs.replace(tracing, secret_arn=environ[tracing.secret_arn_variable])


def _endpoint(endpoint: Endpoint, environ: Mapping[str, str]) -> Endpoint:
    def value(variable: str, known: str) -> str:
        return environ[variable] if variable else known

    return msgspec.structs.replace(
        endpoint,
        base_url=value(endpoint.base_url_variable, endpoint.base_url).rstrip("/"),
        secret_arn=value(endpoint.secret_arn_variable, endpoint.secret_arn),
        wake_queue_url=value(endpoint.wake_queue_url_variable, endpoint.wake_queue_url),
    )
