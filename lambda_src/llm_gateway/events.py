"""The event stream that every transport renders.

Events are passed on in batches, lists of the events that one read of the provider's answer gave: so the cost of a batch does
not depend on its number of tokens. An answer is ``Start``, then any number of ``Delta``, ``Reasoning``,
``ReasoningSignature``, ``ToolCall`` and ``ToolCallDelta``, then ``Usage`` and ``Done`` together in the last batch. After
``Start``, a failure is a `GatewayError` that the stream raises and a transport renders as its ``error`` event. A stream never
ends without ``Done`` or an error.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

# Why the model stopped. /chat returns it as it is, the OpenAI routes as a finish_reason.
# "cancelled" is the caller's own wish, and only a stream's.
StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "content_filtered", "context_window_exceeded", "cancelled"
]


class CacheUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the cache of answers has done for a request.

    `status`: the answer is from the cache, or was not there, or the cache was not asked. Of an answer from the cache, `age` are
    the seconds since it was complete, and `saved_tokens` those of the call that was not made, where they are known already.
    """

    status: Literal["hit", "miss", "bypass"]
    age: int | None = None
    saved_tokens: int | None = None


class Citation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A passage that the model was given. The answer cites it by its `index`, such as ``[1]``.

    `source` is the address of its document, such as an S3 URI, and `title` the document's title or file name. `excerpt` is the
    passage's beginning, and `score` how well it fits, where the knowledge base tells it.
    """

    index: int
    source: str
    title: str
    excerpt: str
    score: float | None = None


class Start(msgspec.Struct, frozen=True, tag="start", omit_defaults=True):
    """The model has begun to answer. `model` is the alias, `target` the name of its target that answers.

    `attempts` is the number of calls of targets, including the one that answers. `waited_ms` are the milliseconds of the other
    calls and of the pauses between them, `first_token_ms` those from the call of this target to its first token. The gateway's
    own checks before the first call and after the first token are in neither. `dropped` names the hints of the request that
    the target does not know. `rate_limits` are the headers that say what is left of the caller's limits: first what the call
    may leave, and when its events have ended, what it has left. `cache` is there where answers are cached. `citations` are the
    passages that the model was given, and `retrieval` is "unavailable" where it had to answer without them.
    """

    request_id: str
    model: str
    target: str
    attempts: int
    waited_ms: float
    first_token_ms: float
    dropped: tuple[str, ...] = ()
    rate_limits: Mapping[str, str] = {}
    cache: CacheUse | None = None
    citations: tuple[Citation, ...] = ()
    retrieval: Literal["", "unavailable"] = ""


class Delta(msgspec.Struct, frozen=True, tag="delta", omit_defaults=True):
    """A part of the answer's text, never empty.

    `refusal`: it is part of the model's refusal to answer, which OpenAI's formats have apart from the text.
    """

    text: str
    refusal: bool = False


class Logprobs(msgspec.Struct, frozen=True, tag="logprobs"):
    """The log probabilities of the tokens of the text that has come, as OpenAI's chat format has them, never empty.

    Some servers send them unasked: only an API format whose caller has asked for them renders them.
    """

    tokens: list[dict[str, Any]]


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A part of the model's reasoning, never empty. It is not part of the answer."""

    text: str


class ReasoningSignature(msgspec.Struct, frozen=True, tag="reasoning_signature"):
    """The end of a block of reasoning that the provider has signed or encrypted; see `llm_gateway.request.ReasoningBlock`.

    With `data`, the block has no text. It is only for API formats that carry it back with the next request.
    """

    signature: str = ""
    data: str = ""


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """The model begins to call a tool. `index` numbers the calls of an answer from 0."""

    index: int
    id: str
    name: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call_delta"):
    """A part of the JSON text of the arguments of call `index`."""

    index: int
    arguments: str


# A vector of an embedding: its numbers, or the Base64 text of them as float32, little-endian, as OpenAI's API has it.
Vector = list[float] | str


class Embeddings(msgspec.Struct, frozen=True, tag="embeddings"):
    """The vectors of the texts of an `EmbeddingRequest`, in their order. Only the answer to one has it, as its first event."""

    vectors: tuple[Vector, ...]


class Usage(msgspec.Struct, frozen=True, tag="usage", omit_defaults=True):
    """The tokens that the provider counted, and charges for.

    `input_tokens` are all of the request, among them `cached_tokens`, which were read from the provider's prompt cache, and
    `cache_write_tokens`, which were written to it. `output_tokens` contain `reasoning_tokens`, which are
    estimated by their length where the provider tells only the sum. `estimated`: the provider gave no counts.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class Done(msgspec.Struct, frozen=True, tag="done", omit_defaults=True):
    """The answer is complete. `stop_sequence` is the one that ended it, where the provider tells it."""

    stop_reason: StopReason
    stop_sequence: str = ""


Event = Start | Delta | Logprobs | Reasoning | ReasoningSignature | ToolCall | ToolCallDelta | Embeddings | Usage | Done
