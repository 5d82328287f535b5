"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi


class OtlpArgs(TypedDict):
    """Where spans and metrics of requests are sent by OpenTelemetry's protocol: OTLP over HTTP, in JSON."""

    endpoint: str
    """The base URL of a receiver, such as "https://otlp.example.com", without /v1/traces; "http://localhost:4318" for the
    layer of a collector; or "xray", X-Ray's own in the Region, for which Transaction Search has to be enabled in the
    account."""
    sample_ratio: NotRequired[float]
    """The share of the requests whose spans are sent. A caller's trace context may keep a request out of it, not put one
    in. From 0 to 1. Default: 1."""
    metrics: NotRequired[bool]
    """Send metrics, too, of all requests: tokens, durations, time to the first token. X-Ray takes none. Default: true."""
    content: NotRequired[bool]
    """Send prompts and answers, too, without the personal data that the filter `pii` finds. They may hold anything else.
    Default: false."""
    secret_arn: NotRequired[pulumi.Input[str]]
    """The Secrets Manager secret that holds the value of `header`: alone, or as `api_key` of a JSON object. The whole ARN,
    in the API's Region. Default: the receiver needs none."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""
    header: NotRequired[str]
    """The header by which the receiver knows this service. Default: "authorization"."""
    collector_layer_arn: NotRequired[pulumi.Input[str]]
    """The Lambda layer (arm64) of an OpenTelemetry collector that runs beside the function. Default: none."""


class MetricsArgs(TypedDict):
    """Metrics in CloudWatch of tokens, times, costs and errors, by alias, target and tenant. CloudWatch charges for
    each."""

    namespace: str
    """The namespace in which they are, such as "pulumi-llm/dev". Give each service one of its own."""
    tenants: NotRequired[Sequence[str]]
    """Tenants that have metrics of their own, besides those of API keys that are made here: those of tokens are not known
    before, and each one costs. Default: none."""


class RetrievalArgs(TypedDict):
    """How answers use a knowledge base. Each question to one waits for it before the model is asked, some 0.3 to 1 s."""

    knowledge_base_arn: NotRequired[pulumi.Input[str]]
    """The knowledge base, in the component's Region: the output `knowledge_base_arn` of a KnowledgeBase, or one of your
    own. Default: none."""
    aliases: NotRequired[Sequence[str]]
    """The aliases that answer with passages. Default: all that chat."""
    results: NotRequired[int]
    """The most passages of an answer. From 1 to 20. Default: 5."""
    min_score: NotRequired[float]
    """The least score of a passage, from 0 to 1. What a score means depends on the model that makes the vectors. From 0 to
    1. Default: 0."""
    passage_bytes: NotRequired[int]
    """The most bytes (UTF-8) of a passage in the prompt, where its tokens cost as any others; a longer one is cut. From 100
    to 20,000. Default: 2,000."""
    excerpt_characters: NotRequired[int]
    """The most characters of a passage in a citation. From 20 to 500. Default: 200."""
    tenant_key: NotRequired[str]
    """The key of the documents' metadata that names their tenant; "*" stands for everyone. What has none is never found.
    Default: "tenant"."""
    when_unavailable: NotRequired[str]
    """What happens where the knowledge base cannot be asked: the call fails with 503, or the model answers without
    passages, and the answer says so. Default: "fail"."""


class LengthFilterArgs(TypedDict):
    """How long a prompt may be."""

    max_characters: int
    """The most characters of all its texts together: messages, system prompt, tools and their results. From 1 to
    10,000,000."""
    mode: NotRequired[str]
    """"block", or "shadow", which only logs it. Default: "block"."""


class ControlCharacterFilterArgs(TypedDict):
    """Characters that nobody sees, by which texts are hidden or turned around: control characters but tabs and line ends,
    marks of direction, characters of no width, Unicode's tags."""

    mode: NotRequired[str]
    """"block", "mask", which takes them out, or "shadow", which only logs it. Default: "block"."""


class InjectionFilterArgs(TypedDict):
    """Words by which a text tries to give the model other instructions. They are looked for in small letters, with one
    space between words."""

    mode: NotRequired[str]
    """"block", or "shadow", which only logs it. Default: "block"."""
    builtin: NotRequired[bool]
    """Look for the known ones, which docs/safety.md lists. Default: true."""
    patterns: NotRequired[Mapping[str, str]]
    """More of them: regular expressions by names of your own. Repetitions need bounds. Default: none."""


class GuardrailTopicArgs(TypedDict):
    """A topic that is denied."""

    name: str
    """Its name, which an error tells."""
    definition: str
    """What it is about, in a sentence or two: at most 200 characters, or 1,000 with tier "STANDARD"."""
    examples: NotRequired[Sequence[str]]
    """Prompts about it, at most 5. Default: none."""


class GuardrailRegexArgs(TypedDict):
    """A regular expression of a guardrail, which AWS evaluates."""

    name: str
    """Its name, which an error tells, and which stands in braces where a text is masked."""
    pattern: str
    """The expression, without lookarounds."""
    action: NotRequired[str]
    """"BLOCK", "ANONYMIZE", which masks it, or "NONE", which only logs it. Default: "ANONYMIZE"."""
    description: NotRequired[str]
    """What it is for. Default: none."""


class GuardrailArgs(TypedDict):
    """A guardrail of Bedrock's, which checks prompts and answers of every provider: one that is made here, or one given by
    `arn` and `version`."""

    arn: NotRequired[pulumi.Input[str]]
    """The ARN of a guardrail that is there already, in the component's Region. Default: one is made of the settings
    below."""
    version: NotRequired[pulumi.Input[str]]
    """Its version. Required with `arn`."""
    content: NotRequired[Mapping[str, str]]
    """Content filters with their strengths, such as {"VIOLENCE": "HIGH", "PROMPT_ATTACK": "HIGH"}; PROMPT_ATTACK is for
    prompts alone. Default: none."""
    topics: NotRequired[Sequence[GuardrailTopicArgs]]
    """Topics that are denied. Default: none."""
    words: NotRequired[Sequence[str]]
    """Words and phrases that are blocked. Default: none."""
    profanity: NotRequired[bool]
    """Block what is in AWS's list of profanities. Default: false."""
    pii: NotRequired[Mapping[str, str]]
    """Personal data by AWS's kinds, such as {"EMAIL": "ANONYMIZE", "PASSWORD": "BLOCK"}. Default: none."""
    regexes: NotRequired[Sequence[GuardrailRegexArgs]]
    """Regular expressions. Default: none."""
    cross_region: NotRequired[bool]
    """Let AWS evaluate in other Regions of the geography, which tier "STANDARD" needs. With `arn`: it is such a guardrail.
    Default: false."""
    tier: NotRequired[str]
    """AWS's tier of content filters and topics; "STANDARD" knows more languages. Default: "CLASSIC"."""
    mode: NotRequired[str]
    """"block", or "shadow", in which nothing is blocked, masked or delayed, and what would be is logged. Default:
    "block"."""
    on_failure: NotRequired[str]
    """What happens where the guardrail cannot be asked: the call fails with 503, or goes on unchecked. Default: "block"."""
    prompts: NotRequired[bool]
    """Check prompts: every text of a request. Default: true."""
    system_prompts: NotRequired[bool]
    """Check system prompts and the descriptions of tools, too. PROMPT_ATTACK may take them for attacks: with `false`, they
    are trusted, whoever has a key. Default: true."""
    answers: NotRequired[bool]
    """Check answers: texts, reasoning, and the arguments of tool calls. Default: true, but for a guardrail that looks for
    PROMPT_ATTACK alone."""
    window_characters: NotRequired[int]
    """How much of a streamed answer is checked at once, in characters. AWS counts 1,000 or less as one text unit of each
    policy, and 100 are checked again with the next window. From 200 to 25,000. Default: 1,000."""
    window_seconds: NotRequired[float]
    """After how long what has come of a slow stream is checked, though the window is not full, in seconds. From 0.2 to 30.
    Default: 2."""


class SafetyArgs(TypedDict):
    """What conversations are checked for. Each check is off unless it is given."""

    length: NotRequired[LengthFilterArgs]
    """How long a prompt may be. Default: as long as a body."""
    control_characters: NotRequired[ControlCharacterFilterArgs]
    """Invisible characters in prompts. Default: not looked for."""
    injection: NotRequired[InjectionFilterArgs]
    """Words of prompt injections. Default: not looked for."""
    pii: NotRequired[Mapping[str, str]]
    """Personal data in prompts that have a form, with what is done with them, such as {"email": "mask", "us_ssn": "block"}.
    docs/safety.md lists the kinds. Default: not looked for."""
    guardrail: NotRequired[GuardrailArgs]
    """A guardrail of Bedrock's. Default: none."""


class HoursArgs(TypedDict):
    """A part of the day."""

    start: NotRequired[str]
    """From when on, in hours and minutes. Default: "00:00"."""
    end: NotRequired[str]
    """Until when; where it is not after `start`, on the next day. Default: "00:00"."""
    weekdays: NotRequired[Sequence[str]]
    """The days on which it starts. Default: every day."""
    time_zone: NotRequired[str]
    """The time zone, by the name of the IANA's database. Default: "UTC"."""


class RuleArgs(TypedDict):
    """A restriction of some callers. It never allows anything: of all rules that are for a caller, each holds."""

    name: str
    """What answers and logs call it."""
    keys: NotRequired[Sequence[str]]
    """The callers that it is for: names of API keys, subjects of tokens, or ARNs of AWS users and roles, with all sessions
    of a role. With `tenants`, those of these keys that are of these tenants. Default: every caller."""
    tenants: NotRequired[Sequence[str]]
    """The tenants whose callers it is for: those of the keys, the values of a token's `tenant_claim`, or numbers of AWS
    accounts. Default: every tenant."""
    models: NotRequired[Sequence[str]]
    """The aliases that they may use. Default: all that the key allows."""
    regions: NotRequired[Sequence[str]]
    """Where their data may go: the API's Region, those where a model of Bedrock's may run (several for a cross-Region
    inference profile, any for a global one), and the `regions` of providers. A target that may take it elsewhere, or of
    which nobody knows, is not asked, not as a fallback either. Default: anywhere."""
    hours: NotRequired[Sequence[HoursArgs]]
    """When they may call, in any of these parts of the day. Default: always."""
    tools: NotRequired[Sequence[str]]
    """The names of the tools that they may offer to a model, Anthropic's own among them; an empty list: none. Default:
    any."""
    max_tokens: NotRequired[int]
    """The most tokens that an answer may have. At least 1. Default: the model's own bound."""
    temperature_min: NotRequired[float]
    """The lowest temperature. From 0 to 2. Default: 0."""
    temperature_max: NotRequired[float]
    """The highest temperature. From 0 to 2. Default: the model's own bound."""
    out_of_bounds: NotRequired[str]
    """What becomes of a caller's max_tokens or temperature that is out of the bounds: "refuse" the request, or "clamp" the
    value to the bound. Default: "refuse"."""
    streams: NotRequired[bool]
    """Whether answers may be streamed. Over a WebSocket, all are. Default: true."""
    prompt_caching: NotRequired[bool]
    """Whether a provider may keep parts of their prompts in its prompt cache. With false, no request asks for it, and a
    target that does it by itself is not asked: those of OpenAI-compatible providers, and Amazon's Nova. Default: true."""
    retention: NotRequired[str]
    """"none": nothing that they ask and are answered is kept: not in the cache of answers, not for an Idempotency-Key,
    which is refused, not for a WebSocket that resumes after the answer's end, and not in traces. Default: what is switched
    on keeps answers for its time."""


class ModelLimitArgs(TypedDict):
    """What may be used of one alias in a minute, a day or a month, which are the calendar's, in UTC."""

    requests: NotRequired[Mapping[str, int]]
    """Requests, such as {"minute": 60, "day": 5000}. Default: no limits."""
    tokens: NotRequired[Mapping[str, int]]
    """Tokens, those of requests and of answers together. Before a call, those of its request, as they are estimated, and
    its `max_tokens`, or the bound that an answer has without, are reserved. What it has not used is given back after it.
    Default: no limits."""
    usd: NotRequired[Mapping[str, float]]
    """US dollars, by the prices of the models. Before a call, the most that it can cost is reserved. Default: no limits."""


class LimitArgs(TypedDict):
    """What may be used in a minute, a day or a month, which are the calendar's, in UTC."""

    requests: NotRequired[Mapping[str, int]]
    """Requests, such as {"minute": 60, "day": 5000}. Default: no limits."""
    tokens: NotRequired[Mapping[str, int]]
    """Tokens, those of requests and of answers together. Before a call, those of its request, as they are estimated, and
    its `max_tokens`, or the bound that an answer has without, are reserved. What it has not used is given back after it.
    Default: no limits."""
    usd: NotRequired[Mapping[str, float]]
    """US dollars, by the prices of the models. Before a call, the most that it can cost is reserved. Default: no limits."""
    calls_in_flight: NotRequired[int]
    """How many calls may run at once. From 1 to 200. Default: none."""
    models: NotRequired[Mapping[str, ModelLimitArgs]]
    """Limits for single aliases, within the others. Default: none."""


class JobsArgs(TypedDict):
    """The jobs of a ServerlessBedrockApi."""

    table_name: pulumi.Input[str]
    """Their table, its output `jobs_table_name`."""
    table_arn: pulumi.Input[str]
    """The table's ARN, its output `jobs_table_arn`."""
    stream_arn: pulumi.Input[str]
    """The stream of the table's changes, its output `jobs_stream_arn`."""
    bucket_name: pulumi.Input[str]
    """The bucket of what jobs ask and of their results, its output `jobs_bucket_name`."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts table and bucket, its argument `kms_key_arn`. Default: keys of AWS."""


class TableArgs(TypedDict):
    """A table of another component, such as that of a ServerlessBedrockApi's keys or tickets."""

    name: pulumi.Input[str]
    """Its name, such as the output `keys_table_name` of a ServerlessBedrockApi."""
    arn: pulumi.Input[str]
    """Its ARN, such as the output `keys_table_arn` of a ServerlessBedrockApi."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts it. Default: AWS's own, which needs no permission."""


class FlagsArgs(TypedDict):
    """The feature flags of another component, whose aliases, limits and safety must be the same as here: a document that
    names what there is not here is refused here."""

    configuration: pulumi.Input[str]
    """Their configuration in AppConfig, such as the output `flags_configuration` of a ServerlessBedrockApi."""
    arn: pulumi.Input[str]
    """Its ARN, such as the output `flags_configuration_arn` of a ServerlessBedrockApi."""


class AnswerCacheArgs(TypedDict):
    """A cache of answers to chats. Entries are a tenant's own."""

    ttl_seconds: NotRequired[int]
    """How long an answer is used, in seconds. From 1 to 2,592,000. Default: 3,600."""
    when: NotRequired[str]
    """Which requests get a cached answer: "deterministic" are those at temperature 0; with "asked", also those that ask for
    one by `Cache-Control: max-age=…`. Default: "deterministic"."""


class JwtArgs(TypedDict):
    """The JSON Web Tokens of an OpenID Connect issuer, signed with RS256, which every such issuer supports."""

    issuer: pulumi.Input[str]
    """The issuer's URL, as it stands in a token's `iss`. Its keys are found by its discovery document."""
    audiences: Sequence[pulumi.Input[str]]
    """A token's `aud` must hold one of these."""
    in_vpc: NotRequired[bool]
    """The issuer is reached from the API's `vpc` only, so that the authorizer runs there, too. Default: false."""
    tenant_claim: NotRequired[pulumi.Input[str]]
    """The claim that names the tenant. Default: "sub"."""
    models_claim: NotRequired[pulumi.Input[str]]
    """The claim that lists the aliases allowed. Default: none, which allows all."""


class ThrottleArgs(TypedDict):
    """A rate of requests. API Gateway's limits for an account are 10,000 a second and 5,000 at once."""

    rate_limit: NotRequired[float]
    """Requests a second. From 0.1 to 10,000. Default: that of the limit above it."""
    burst_limit: NotRequired[int]
    """Requests at once. From 1 to 5,000. Default: that of the limit above it."""


class ApiKeyArgs(TypedDict):
    """An API key."""

    name: str
    """What the key is called in logs and outputs."""
    tenant: NotRequired[str]
    """Whose key it is. Default: "default"."""
    value: NotRequired[pulumi.Input[str]]
    """A value that callers have already, a secret of 20 to 128 characters. Another value replaces the key. AWS takes a
    value once in an account and Region: to rename such a key, take it off the list, run `pulumi up`, and add it under the
    new name. Default: API Gateway makes one."""
    enabled: NotRequired[bool]
    """Whether it may call. With `deletion_protection`, a key is removed or renamed in two steps: set this to false and run
    `pulumi up`, then change the list. Default: true."""
    models: NotRequired[Sequence[str]]
    """The aliases that it may use. Default: all."""
    throttle: NotRequired[ThrottleArgs]
    """Its own rate. Default: the API's."""
    daily_quota: NotRequired[int]
    """Its own requests a day. From 1 to 2,147,483,647. Default: the API's."""
    limits: NotRequired[LimitArgs]
    """Its own limits, each in the place of the API's. Default: the API's `limits`."""
    websocket: NotRequired[bool]
    """Whether it may connect to a WebSocket API that takes the keys of this API. Neither `throttle` nor `daily_quota`
    counts there. Default: true."""
    websocket_connections: NotRequired[int]
    """How many connections it may have open at once there. From 1 to 100,000. Default: as many as any key, the WebSocket
    API's `connections_per_key`."""
