"""The description of aliases, their targets and providers, for stack files and programs alike."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AfterValidator, Field

from llm_gateway.providers.registry import PROTOCOLS
from llm_gateway.request import NUMERIC_PARAMETERS, Kind, Parameter
from llm_gateway.routes import (
    BEDROCK,
    DEFAULT_MAX_TOKENS,
    FIRST_TOKEN_SECONDS,
    RETRIES,
    STALL_SECONDS,
    Price,
    Strategy,
    ThinkTags,
)
from pulumi_llm.base.settings import (
    Between,
    Count,
    DataRegion,
    Flag,
    Input,
    KmsKeyArn,
    Name,
    Number,
    Problem,
    Region,
    Settings,
    valid_items,
)
from pulumi_llm.models.resolve import DEFAULT_ACCEPTS, price_in_micro_usd

# Parameters of which a model may take only one.
ExclusiveParameter = Literal["temperature", "top_p", "reasoning_effort"]

_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|localhost|\[::1\]")
_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(?P<path>/[!-~]*)?")
_QUEUE = r"(?P<account>\d{12})[:/](?P<name>[A-Za-z0-9_-]{1,80})"
_QUEUE_URL = re.compile(rf"https://[a-z0-9.-]+/{_QUEUE}")
_QUEUE_ARN = re.compile(rf"arn:aws[a-z-]*:sqs:[a-z0-9-]+:{_QUEUE}")
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:(?P<name>[A-Za-z0-9/_+=.@!-]+)")


def _protocol(value: str) -> str:
    if value not in PROTOCOLS:
        *names, last = map(repr, PROTOCOLS)
        raise ValueError(f"must be {', '.join(names)} or {last}, not {value!r}")
    return value


def _base_url(value: str) -> str:
    if _URL.fullmatch(value) is None or "?" in value or "#" in value:
        # The value is not shown, for it may have a password in it.
        raise ValueError("must be a URL such as https://api.example.com/v1, without a user, a query or white space")
    return value


def _secret_arn(value: str) -> str:
    match = _SECRET.fullmatch(value)
    if match is None:
        # The value is not shown, for it may be the key itself.
        example = "arn:aws:secretsmanager:us-east-1:ACCOUNT:secret:NAME-AbCdEf"
        raise ValueError(f"must be the ARN of a secret, such as {example}; the key itself stands in the secret alone")
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
    if not re.fullmatch(r".+-[A-Za-z0-9]{6}", match["name"]):
        reason = f"{value!r} lacks the '-' and six characters at its end, without which IAM does not match it; give it as "
        raise ValueError(f"{reason}aws secretsmanager describe-secret shows it")
    return value


SecretArn = Annotated[str, AfterValidator(_secret_arn)]


def _queue_url(value: str) -> str:
    return _queue(value, _QUEUE_URL, "the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/ACCOUNT/NAME")


def _queue_arn(value: str) -> str:
    return _queue(value, _QUEUE_ARN, "the ARN of a queue, such as arn:aws:sqs:us-east-1:ACCOUNT:NAME")


def _queue(value: str, pattern: re.Pattern[str], form: str) -> str:
    if value.endswith(".fifo"):
        raise ValueError(f"{value!r} is a FIFO queue; give a standard one")
    if pattern.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not {form}")
    return value


# The characters that a cookie's name may have: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
# and the names that a load balancer keeps for itself:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
def _cookie(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}", value) is None:
        raise ValueError(f"{value!r} is no name of a cookie; give one such as LlmServiceStickiness")
    if value.startswith("AWSALB"):
        raise ValueError(f"{value!r} is a cookie of the load balancer's own; give the one that the servers set")
    return value


def _names(parameters: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in parameters)


def _by_protocol(field: str, empty: str = "") -> str:
    """What the protocols' records say of a field, for the help of a setting: `2; for "anthropic": 1`. `empty`: no value."""
    texts: dict[str, list[str]] = {}
    for name, protocol in PROTOCOLS.items():
        value: Any = getattr(protocol, field)
        text = (
            _names(cast("tuple[str, ...]", value))
            if isinstance(value, tuple)
            else f"{value:g}"
            if isinstance(value, float)
            else str(value or "")
        )
        texts.setdefault(text or empty, []).append(f'"{name}"')
    first, *others = texts
    return "; ".join([first, *(f"for {' and '.join(texts[text])}: {text}" for text in others)])


class WakeQueueSettings(Settings):
    """The SQS queue by which the servers of a provider are woken: what scales them watches how many messages it holds."""

    regional = ("arn", "kms_key_arn")

    url: Input[Annotated[str, AfterValidator(_queue_url)]]
    """The queue's URL."""
    arn: Input[Annotated[str, AfterValidator(_queue_arn)]]
    """The queue's ARN, in the API's Region. The function may send messages to this queue only."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts the queue. Default: SQS's own, which needs no permission."""

    def problems(self) -> Iterator[Problem]:
        url = _QUEUE_URL.fullmatch(self.url) if isinstance(self.url, str) else None
        arn = _QUEUE_ARN.fullmatch(self.arn) if isinstance(self.arn, str) else None
        if url is not None and arn is not None and url.groups() != arn.groups():
            yield Problem("arn", f"is of the queue {arn['name']!r} of {arn['account']}, and url is of another one")


class ProviderSettings(Settings):
    """A provider of models that is called over HTTP, with a key of its own."""

    regional = ("secret_arn", "kms_key_arn")

    type: Annotated[str, AfterValidator(_protocol)] = Field(
        description="What it speaks: " + " or ".join(f'"{name}" ({each.servers})' for name, each in PROTOCOLS.items()) + "."
    )
    base_url: Input[Annotated[str, AfterValidator(_base_url)]] | None = Field(
        None,
        description="What its clients call the base URL: with the /v1 where an OpenAI-compatible one has it, without it for "
        f"Anthropic's. Default: {_by_protocol('base_url', 'none, it is required')}.",
    )
    secret_arn: Input[SecretArn] | None = None
    """The Secrets Manager secret that holds the key: alone, or as `api_key` of a JSON object. The whole ARN, in the API's
    Region. Default: no key is sent."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""
    wake_queue: WakeQueueSettings | None = None
    """The queue that is told when the provider's servers are wanted and do not answer, for servers that are scaled to zero.
    Default: none, the servers are always there."""
    stickiness_cookie: Annotated[str, AfterValidator(_cookie)] | None = None
    """The cookie with which the provider's load balancer keeps a conversation at one server. It is sent back with the next
    turns of the conversation. Default: none is."""
    regions: Annotated[tuple[DataRegion, ...], Field(min_length=1)] | None = None
    """All places where the provider may process and keep a request's data, as its contract says: AWS's Regions, or names of
    your own, such as "westeurope". The rules of callers go by it. Default: nobody knows them, and a rule that names `regions`
    refuses the provider."""
    cache_salt: Flag = False
    """Send a salt of the caller's tenant with each request (`cache_salt`), as vLLM takes it: in a prefix cache that tenants
    share, no one then finds out what another has asked by how soon an answer begins. Other servers may refuse the field."""
    trace_context: Flag = False
    """Send the trace of a request with it (`traceparent`, `tracestate`), where requests are traced: for servers of your own
    that trace, too. By it, others could tell which requests belong together."""

    def problems(self) -> Iterator[Problem]:
        if self.given("kms_key_arn") and not self.given("secret_arn"):
            yield Problem("kms_key_arn", "is what encrypts the secret; give secret_arn too, or leave it out")
        if not self.valid("type"):
            return
        if self.cache_salt and self.type != "openai_compatible":
            yield Problem("cache_salt", f"is a field of OpenAI's format as vLLM takes it, not of {self.type}; leave it out")
        protocol = PROTOCOLS[self.type]
        base_url = self.base_url
        if not self.given("base_url"):
            base_url = protocol.base_url
            if not base_url:
                yield Problem("base_url", "is required, such as https://api.example.com/v1")
        if not isinstance(base_url, str) or (match := _URL.fullmatch(base_url)) is None:
            return
        keyed = self.given("secret_arn")
        if match["scheme"] == "http" and keyed and not _LOOPBACK.fullmatch(match["host"]):
            yield Problem("base_url", f"{base_url!r} would send the key in plain text; give an https:// URL, or no secret_arn")
        base = base_url.rstrip("/")
        for suffix in protocol.added_paths:
            if (match["path"] or "").rstrip("/").endswith(suffix):
                right = base.removesuffix(suffix)
                yield Problem("base_url", f"{base_url!r} must be without {suffix}, which is added to it; give {right!r}")
                break
        if protocol.needs_key and base == protocol.base_url and not keyed:
            yield Problem("secret_arn", f"is required by {base}: the ARN of the secret with its key")


class PriceSettings(Settings):
    """What a model costs, in US dollars for a million tokens."""

    input: Annotated[Number, Between(0, 10_000)]
    """The tokens of a request."""
    output: Annotated[Number, Between(0, 10_000)]
    """The tokens of an answer; 0 for embeddings."""
    cache_read: Annotated[Number, Between(0, 10_000)] | None = None
    """Those of a request that are read from the provider's prompt cache. Default: that of `input`."""
    cache_write: Annotated[Number, Between(0, 10_000)] | None = None
    """Those that are written to it. Default: that of `input`."""
    cache_write_hour: Annotated[Number, Between(0, 10_000)] | None = None
    """Those that are written to it for an hour. Default: that of `cache_write`."""

    def document(self) -> Price:
        """The price as the functions read it."""
        return price_in_micro_usd(self.input, self.output, self.cache_read, self.cache_write, self.cache_write_hour)


class ModelBounds(Settings):
    """What is to be known of a model besides its name; the catalogue has it of most."""

    base_model: str = ""
    """For an ARN that does not name its model (imported, deployed, provisioned, application profile) or is an Output: the
    catalogue name, id or inference profile id of the model behind it. Default: none."""
    router_models: Annotated[tuple[str, ...], Field(min_length=1)] = ()
    """For the ARN of a prompt router: the models that it routes to, named as in base_model. Default: none."""
    destination_regions: Annotated[tuple[Region, ...], Field(min_length=1)] = ()
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have. The Region of the call is
    always among them. Default: the catalogue's."""
    context_tokens: Annotated[Count, Between(1)] | None = None
    """How many tokens the model reads and writes in all. Required, with max_output_tokens, for a provider's model and for one
    of Bedrock's that the catalogue lacks. Default: the catalogue's."""
    max_output_tokens: Annotated[Count, Between(1)] | None = None
    """How many tokens the model answers at most. Required where context_tokens is. Default: the catalogue's."""
    accepts: tuple[Parameter, ...] | None = Field(
        None,
        description=f"What the model takes, of {_names(get_args(Parameter))}. reasoning_content is the reasoning of earlier "
        "turns, which DeepSeek wants back while it uses tools, and Claude as it has signed it. dimensions, input_type and user "
        "are all that a provider's model of embeddings may take, by default dimensions. Default: the "
        f"catalogue's; for a model of Bedrock's that it lacks {_names(DEFAULT_ACCEPTS)}; for a provider's "
        f"{_by_protocol('accepts')}.",
    )
    exclusive: tuple[ExclusiveParameter, ...] | None = Field(
        None,
        description="Parameters of which the model takes only one. Default: the catalogue's; for a provider's model "
        f"{_by_protocol('exclusive', 'none')}.",
    )
    temperature_max: Annotated[Number, Between(*NUMERIC_PARAMETERS["temperature"])] | None = Field(
        None,
        description="The highest temperature that the model takes; Bedrock takes at most 1. Default: the catalogue's, or 1; "
        f"for a provider's model {_by_protocol('temperature_max')}.",
    )
    stop_max: Annotated[Count, Between(1)] | None = Field(
        None,
        description="The most stop sequences that the model takes. Default: the catalogue's, or any; for a provider's model "
        f"{_by_protocol('stop_max', 'any')}.",
    )
    cache_prompts: bool = False
    """Whether the provider's prompt cache keeps the tools, the system text and the conversation of each request. Its tokens
    cost more to write and less to read. For a model that accepts prompt_caching."""
    price: PriceSettings | None = None
    """What the model costs. Needed for limits of money (`usd`), which count by it, and used for the metric of costs. Default:
    the catalogue's, which has those of Bedrock's models on demand in the US."""
    think_tags: ThinkTags | None = None
    """For an open model behind a server without a reasoning parser: its thinking, which stands between <think> and </think> at
    the beginning of an answer, becomes reasoning. "written": the model writes both tags; "opened": the prompt's template has
    opened them, and an answer begins with the thinking, as with DeepSeek R1. Default: the catalogue's, or none is split off."""


class _TargetModel(Settings):
    model: Input[str]
    """As in ModelArgs; for a provider's target the provider's own id of the model."""


class TargetSettings(ModelBounds, _TargetModel):
    """One of the models behind an alias. A provider's target gives its own bounds; the catalogue has those of Bedrock's."""

    provider: str = BEDROCK
    """The name of a provider."""
    weight: Annotated[Count, Between(1, 1_000)] = 1
    """Its share under the strategy "weight"."""
    short_prompt_tokens: Annotated[Count, Between(1)] | None = None
    """Under the strategy "workload": this is a small model, which is preferred for prompts up to that size. Default: a large
    one."""
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """What an OpenAI-compatible provider calls the bound of the answer: "max_tokens", or "max_completion_tokens", as OpenAI's
    reasoning models ask for. Default: "max_tokens"."""
    kind: Kind = "chat"
    """What an OpenAI-compatible provider's model is for. One of embeddings has context_tokens, the limit of one text, and no
    max_output_tokens; the catalogue knows Bedrock's. All targets of an alias are of one kind, and those of embeddings are one
    model: vectors of different models cannot be compared."""


class _AliasModel(Settings):
    name: Name
    """The alias."""
    model: Input[str] | None = None
    """A name of the catalogue, a Bedrock model id or inference profile id, an ARN, or "mock". An ARN may be another resource's
    output, such as that of an aws.bedrock.InferenceProfile made in the same program. Required without targets."""


class ModelSettings(ModelBounds, _AliasModel):
    """A name that callers use, and the model or the targets behind it. A name alone is name and model."""

    targets: Annotated[tuple[TargetSettings, ...], Field(min_length=1)] | None = None
    """Several models in the place of one: where one fails, the next answers. Default: one, `model`."""
    strategy: Strategy = "priority"
    """Which target is asked first: "priority" the first one, "weight" by shares, "latency" the quickest, "workload" small
    models for short prompts."""
    retries: Annotated[Count, Between(0, 5)] = RETRIES
    """How often targets that may recover are asked again."""
    first_token_seconds: Annotated[Number, Between(1, 300)] = FIRST_TOKEN_SECONDS
    """How long a target that streams may take to begin where another could answer, in seconds; below the API's
    timeout_seconds."""
    stall_seconds: Annotated[Number, Between(5, 300)] = STALL_SECONDS
    """How long a stream may be silent, in seconds."""
    default_max_tokens: Annotated[Count, Between(1)] = DEFAULT_MAX_TOKENS
    """The bound of an answer, in tokens, where a caller gives none: at most the model's own, and what its context has room
    for. Bedrock counts it against the account's quota of tokens until the answer is complete. /chat has a bound of its own."""

    @classmethod
    def expand(cls, value: Any) -> Any:
        return {"name": value, "model": value} if isinstance(value, str) else value

    @property
    def is_name_alone(self) -> bool:
        """Whether it says no more than a name alone would."""
        return self.model_fields_set == {"name", "model"} and self.name == self.model


class RoutingSettings(Settings):
    """The models and the providers behind them."""

    models: Annotated[tuple[ModelSettings, ...], Field(min_length=1)]
    """The models, in order; the first is the default. In a stack's file, a catalogue name alone is enough."""
    providers: Mapping[Name, ProviderSettings] = Field(default_factory=dict)
    """Providers of models besides Bedrock, by the names that targets have for them. Default: none."""

    def aliases(self) -> list[str]:
        """The names of the models, those of models that are otherwise wrong too."""
        return [model.name for _, model in valid_items(self.models) if model.valid("name")]
