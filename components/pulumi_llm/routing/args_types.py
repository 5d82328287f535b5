"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi


class PriceArgs(TypedDict):
    """What a model costs, in US dollars for a million tokens."""

    input: float
    """The tokens of a request. From 0 to 10,000."""
    output: float
    """The tokens of an answer; 0 for embeddings. From 0 to 10,000."""
    cache_read: NotRequired[float]
    """Those of a request that are read from the provider's prompt cache. From 0 to 10,000. Default: that of `input`."""
    cache_write: NotRequired[float]
    """Those that are written to it. From 0 to 10,000. Default: that of `input`."""
    cache_write_hour: NotRequired[float]
    """Those that are written to it for an hour. From 0 to 10,000. Default: that of `cache_write`."""


class TargetArgs(TypedDict):
    """One of the models behind an alias. A provider's target gives its own bounds; the catalogue has those of Bedrock's."""

    model: pulumi.Input[str]
    """As in ModelArgs; for a provider's target the provider's own id of the model."""
    base_model: NotRequired[str]
    """For an ARN that does not name its model (imported, deployed, provisioned, application profile) or is an Output: the
    catalogue name, id or inference profile id of the model behind it. Default: none."""
    router_models: NotRequired[Sequence[str]]
    """For the ARN of a prompt router: the models that it routes to, named as in base_model. Default: none."""
    destination_regions: NotRequired[Sequence[str]]
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have. The Region of the call
    is always among them. Default: the catalogue's."""
    context_tokens: NotRequired[int]
    """How many tokens the model reads and writes in all. Required, with max_output_tokens, for a provider's model and for
    one of Bedrock's that the catalogue lacks. At least 1. Default: the catalogue's."""
    max_output_tokens: NotRequired[int]
    """How many tokens the model answers at most. Required where context_tokens is. At least 1. Default: the catalogue's."""
    accepts: NotRequired[Sequence[str]]
    """What the model takes, of "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools",
    "json_object", "json_schema", "closed_json_schema", "forced_tools", "strict_tools", "parallel_tool_calls", "images",
    "image_urls", "documents", "prefill", "prompt_caching", "system_messages", "anthropic_tools", "reasoning_effort",
    "reasoning_content", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "seed", "user", "metadata",
    "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "verbosity",
    "prediction", "dimensions", "input_type". reasoning_content is the reasoning of earlier turns, which DeepSeek wants back
    while it uses tools, and Claude as it has signed it. dimensions, input_type and user are all that a provider's model of
    embeddings may take, by default dimensions. Default: the catalogue's; for a model of Bedrock's that it lacks
    "max_tokens", "system"; for a provider's "max_tokens", "temperature", "top_p", "stop", "system", "tools",
    "stream_tools", "json_object", "json_schema", "forced_tools", "strict_tools", "parallel_tool_calls"; for "anthropic":
    "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools", "closed_json_schema", "strict_tools",
    "parallel_tool_calls", "anthropic_tools", "images", "image_urls", "documents", "prompt_caching", "reasoning_effort",
    "reasoning_content", "user", "safety_identifier", "service_tier"."""
    exclusive: NotRequired[Sequence[str]]
    """Parameters of which the model takes only one. Default: the catalogue's; for a provider's model none; for "anthropic":
    "temperature", "top_p"."""
    temperature_max: NotRequired[float]
    """The highest temperature that the model takes; Bedrock takes at most 1. From 0 to 2. Default: the catalogue's, or 1;
    for a provider's model 2; for "anthropic": 1."""
    stop_max: NotRequired[int]
    """The most stop sequences that the model takes. At least 1. Default: the catalogue's, or any; for a provider's model 4;
    for "anthropic": any."""
    cache_prompts: NotRequired[bool]
    """Whether the provider's prompt cache keeps the tools, the system text and the conversation of each request. Its tokens
    cost more to write and less to read. For a model that accepts prompt_caching. Default: false."""
    price: NotRequired[PriceArgs]
    """What the model costs. Needed for limits of money (`usd`), which count by it, and used for the metric of costs.
    Default: the catalogue's, which has those of Bedrock's models on demand in the US."""
    think_tags: NotRequired[str]
    """For an open model behind a server without a reasoning parser: its thinking, which stands between <think> and </think>
    at the beginning of an answer, becomes reasoning. "written": the model writes both tags; "opened": the prompt's template
    has opened them, and an answer begins with the thinking, as with DeepSeek R1. Default: the catalogue's, or none is split
    off."""
    provider: NotRequired[str]
    """The name of a provider. Default: "bedrock"."""
    weight: NotRequired[int]
    """Its share under the strategy "weight". From 1 to 1,000. Default: 1."""
    short_prompt_tokens: NotRequired[int]
    """Under the strategy "workload": this is a small model, which is preferred for prompts up to that size. At least 1.
    Default: a large one."""
    max_tokens_name: NotRequired[str]
    """What an OpenAI-compatible provider calls the bound of the answer: "max_tokens", or "max_completion_tokens", as
    OpenAI's reasoning models ask for. Default: "max_tokens"."""
    kind: NotRequired[str]
    """What an OpenAI-compatible provider's model is for. One of embeddings has context_tokens, the limit of one text, and
    no max_output_tokens; the catalogue knows Bedrock's. All targets of an alias are of one kind, and those of embeddings
    are one model: vectors of different models cannot be compared. Default: "chat"."""


class ModelArgs(TypedDict):
    """A name that callers use, and the model or the targets behind it. A name alone is name and model."""

    name: str
    """The alias."""
    model: NotRequired[pulumi.Input[str]]
    """A name of the catalogue, a Bedrock model id or inference profile id, an ARN, or "mock". An ARN may be another
    resource's output, such as that of an aws.bedrock.InferenceProfile made in the same program. Required without
    targets."""
    base_model: NotRequired[str]
    """For an ARN that does not name its model (imported, deployed, provisioned, application profile) or is an Output: the
    catalogue name, id or inference profile id of the model behind it. Default: none."""
    router_models: NotRequired[Sequence[str]]
    """For the ARN of a prompt router: the models that it routes to, named as in base_model. Default: none."""
    destination_regions: NotRequired[Sequence[str]]
    """Where a Bedrock inference profile may run, for one whose Regions the catalogue does not have. The Region of the call
    is always among them. Default: the catalogue's."""
    context_tokens: NotRequired[int]
    """How many tokens the model reads and writes in all. Required, with max_output_tokens, for a provider's model and for
    one of Bedrock's that the catalogue lacks. At least 1. Default: the catalogue's."""
    max_output_tokens: NotRequired[int]
    """How many tokens the model answers at most. Required where context_tokens is. At least 1. Default: the catalogue's."""
    accepts: NotRequired[Sequence[str]]
    """What the model takes, of "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools",
    "json_object", "json_schema", "closed_json_schema", "forced_tools", "strict_tools", "parallel_tool_calls", "images",
    "image_urls", "documents", "prefill", "prompt_caching", "system_messages", "anthropic_tools", "reasoning_effort",
    "reasoning_content", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "seed", "user", "metadata",
    "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "verbosity",
    "prediction", "dimensions", "input_type". reasoning_content is the reasoning of earlier turns, which DeepSeek wants back
    while it uses tools, and Claude as it has signed it. dimensions, input_type and user are all that a provider's model of
    embeddings may take, by default dimensions. Default: the catalogue's; for a model of Bedrock's that it lacks
    "max_tokens", "system"; for a provider's "max_tokens", "temperature", "top_p", "stop", "system", "tools",
    "stream_tools", "json_object", "json_schema", "forced_tools", "strict_tools", "parallel_tool_calls"; for "anthropic":
    "max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools", "closed_json_schema", "strict_tools",
    "parallel_tool_calls", "anthropic_tools", "images", "image_urls", "documents", "prompt_caching", "reasoning_effort",
    "reasoning_content", "user", "safety_identifier", "service_tier"."""
    exclusive: NotRequired[Sequence[str]]
    """Parameters of which the model takes only one. Default: the catalogue's; for a provider's model none; for "anthropic":
    "temperature", "top_p"."""
    temperature_max: NotRequired[float]
    """The highest temperature that the model takes; Bedrock takes at most 1. From 0 to 2. Default: the catalogue's, or 1;
    for a provider's model 2; for "anthropic": 1."""
    stop_max: NotRequired[int]
    """The most stop sequences that the model takes. At least 1. Default: the catalogue's, or any; for a provider's model 4;
    for "anthropic": any."""
    cache_prompts: NotRequired[bool]
    """Whether the provider's prompt cache keeps the tools, the system text and the conversation of each request. Its tokens
    cost more to write and less to read. For a model that accepts prompt_caching. Default: false."""
    price: NotRequired[PriceArgs]
    """What the model costs. Needed for limits of money (`usd`), which count by it, and used for the metric of costs.
    Default: the catalogue's, which has those of Bedrock's models on demand in the US."""
    think_tags: NotRequired[str]
    """For an open model behind a server without a reasoning parser: its thinking, which stands between <think> and </think>
    at the beginning of an answer, becomes reasoning. "written": the model writes both tags; "opened": the prompt's template
    has opened them, and an answer begins with the thinking, as with DeepSeek R1. Default: the catalogue's, or none is split
    off."""
    targets: NotRequired[Sequence[TargetArgs]]
    """Several models in the place of one: where one fails, the next answers. Default: one, `model`."""
    strategy: NotRequired[str]
    """Which target is asked first: "priority" the first one, "weight" by shares, "latency" the quickest, "workload" small
    models for short prompts. Default: "priority"."""
    retries: NotRequired[int]
    """How often targets that may recover are asked again. From 0 to 5. Default: 2."""
    first_token_seconds: NotRequired[float]
    """How long a target that streams may take to begin where another could answer, in seconds; below the API's
    timeout_seconds. From 1 to 300. Default: 30."""
    stall_seconds: NotRequired[float]
    """How long a stream may be silent, in seconds. From 5 to 300. Default: 60."""
    default_max_tokens: NotRequired[int]
    """The bound of an answer, in tokens, where a caller gives none: at most the model's own, and what its context has room
    for. Bedrock counts it against the account's quota of tokens until the answer is complete. /chat has a bound of its own.
    At least 1. Default: 16,384."""


class WakeQueueArgs(TypedDict):
    """The SQS queue by which the servers of a provider are woken: what scales them watches how many messages it holds."""

    url: pulumi.Input[str]
    """The queue's URL."""
    arn: pulumi.Input[str]
    """The queue's ARN, in the API's Region. The function may send messages to this queue only."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the queue. Default: SQS's own, which needs no permission."""


class ProviderArgs(TypedDict):
    """A provider of models that is called over HTTP, with a key of its own."""

    type: str
    """What it speaks: "openai_compatible" (OpenAI, DeepSeek, vLLM and others) or "anthropic" (Anthropic)."""
    base_url: NotRequired[pulumi.Input[str]]
    """What its clients call the base URL: with the /v1 where an OpenAI-compatible one has it, without it for Anthropic's.
    Default: none, it is required; for "anthropic": https://api.anthropic.com."""
    secret_arn: NotRequired[pulumi.Input[str]]
    """The Secrets Manager secret that holds the key: alone, or as `api_key` of a JSON object. The whole ARN, in the API's
    Region. Default: no key is sent."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""
    wake_queue: NotRequired[WakeQueueArgs]
    """The queue that is told when the provider's servers are wanted and do not answer, for servers that are scaled to zero.
    Default: none, the servers are always there."""
    stickiness_cookie: NotRequired[str]
    """The cookie with which the provider's load balancer keeps a conversation at one server. It is sent back with the next
    turns of the conversation. Default: none is."""
    regions: NotRequired[Sequence[str]]
    """All places where the provider may process and keep a request's data, as its contract says: AWS's Regions, or names of
    your own, such as "westeurope". The rules of callers go by it. Default: nobody knows them, and a rule that names
    `regions` refuses the provider."""
    cache_salt: NotRequired[bool]
    """Send a salt of the caller's tenant with each request (`cache_salt`), as vLLM takes it: in a prefix cache that tenants
    share, no one then finds out what another has asked by how soon an answer begins. Other servers may refuse the field.
    Default: false."""
    trace_context: NotRequired[bool]
    """Send the trace of a request with it (`traceparent`, `tracestate`), where requests are traced: for servers of your own
    that trace, too. By it, others could tell which requests belong together. Default: false."""
