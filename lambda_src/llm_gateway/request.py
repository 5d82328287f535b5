"""The request, the same for every transport and API format."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import msgspec

# What a target may accept: the parameters of every chat model, the tools of most, and what only some models have.
# `stream_tools`: tools with a streamed answer. `reasoning_content`: the reasoning of earlier turns is sent back, as DeepSeek
# requires with the result of a tool call. `json_object`, `json_schema`: the answer is JSON by the provider's own switch, or
# also follows a schema by it; `closed_json_schema`: by a switch that takes closed schemas only, see `llm_gateway.json_schema`.
# `forced_tools`: a tool choice that makes the model call a tool. `strict_tools`: arguments follow a tool's schema by the
# provider's own switch.
# `parallel_tool_calls`: the provider's own switch for at most one call. `images`, `documents`: they are part of a message;
# `image_urls`: the provider fetches an image itself. `prefill`: the last message may be the assistant's, which is continued.
# `prompt_caching`: cache points. `system_messages`: a system message between two turns. `anthropic_tools`: Anthropic's own
# tools that the caller runs.
ChatParameter = Literal["max_tokens", "temperature", "top_p", "stop", "system"]
ToolParameter = Literal["tools", "stream_tools"]
Ability = Literal[
    "json_object",
    "json_schema",
    "closed_json_schema",
    "forced_tools",
    "strict_tools",
    "parallel_tool_calls",
    "images",
    "image_urls",
    "documents",
    "prefill",
    "prompt_caching",
    "system_messages",
    "anthropic_tools",
    "reasoning_effort",
    "reasoning_content",
]
# They change an answer, and only some providers have them: a target without them does not take a request that has them.
RareParameter = Literal["frequency_penalty", "presence_penalty", "logit_bias", "logprobs"]
# They may change an answer or only describe the request. A target without them answers as well: they are not sent to it, and
# the answer's head names them.
Hint = Literal[
    "seed",
    "user",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "verbosity",
    "prediction",
]
# What a model of embeddings may take: the length of its vectors, and what they are for.
EmbeddingParameter = Literal["dimensions", "input_type"]
Parameter = Literal[ChatParameter, ToolParameter, Ability, RareParameter, Hint, EmbeddingParameter]
CHAT_PARAMETERS: tuple[ChatParameter, ...] = get_args(ChatParameter)
TOOL_PARAMETERS: tuple[ToolParameter, ...] = get_args(ToolParameter)
RARE_PARAMETERS: tuple[RareParameter, ...] = get_args(RareParameter)
HINTS: tuple[Hint, ...] = get_args(Hint)
EMBEDDING_PARAMETERS: tuple[EmbeddingParameter, ...] = get_args(EmbeddingParameter)

# What a model, and so an alias, is for.
Kind = Literal["chat", "embedding"]


# The bound of an answer in /chat's own format, and its default.
MAX_TOKENS = 4000
DEFAULT_MAX_TOKENS = 1000


# Whether a cache point follows: none, one that the provider keeps as long as it does by itself, or one for an hour.
Cache = bool | Literal["1h"]


def longer(one: Cache, other: Cache) -> Cache:
    """Return the cache point of two that is kept for longer."""
    return "1h" if "1h" in (one, other) else one or other


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call that the model made earlier in the conversation; `arguments` is a JSON object.

    `text` is what the model wrote in place of a JSON object, such as arguments that the bound of an answer cut. `arguments`
    then holds it as its one field.
    """

    id: str
    name: str
    arguments: dict[str, Any]
    text: str = ""


class ReasoningBlock(msgspec.Struct, frozen=True):
    """A block of an earlier answer's reasoning, as its provider gave it.

    `signature` is the provider's proof that the text is its own; Anthropic refuses a block without it. `data` is a block that
    the provider has encrypted, and that has no text. Both are opaque and belong to the model that gave them.
    """

    text: str = ""
    signature: str = ""
    data: str = ""


class Media(msgspec.Struct, frozen=True):
    """An image or a document in a message.

    Either `data`, the base64 of its bytes, or `url`, an https address, is given. `media_type` is such as ``image/png`` or
    ``application/pdf``, empty for an address. `name` is a document's file name. `detail` is how closely an image is looked at,
    in OpenAI's words; other providers do not know it.
    """

    kind: Literal["image", "document"]
    media_type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""
    detail: str = ""


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation.

    `text` is all text of the turn. `parts` holds texts and media in their order where the turn has media, and is empty where it
    has text alone. A `system` message stands after the first turn only. A `tool` message holds the result of the call
    `tool_call_id` in the assistant message before it. `reasoning` is the reasoning of an assistant message, if the caller has
    kept it; `reasoning_blocks` holds it in blocks where they are signed. `order` holds texts, signed reasoning and calls in
    their order where that is another one: a number is a place in `tool_calls`. `failed`: it is the result of a tool that has
    failed. `cache` marks a cache point after the message. `place` is its place in the caller's request, such as
    ``messages[2]``, for errors.
    """

    role: Literal["user", "assistant", "tool", "system"]
    text: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""
    place: str = ""
    parts: tuple[str | Media, ...] = ()
    reasoning_blocks: tuple[ReasoningBlock, ...] = ()
    cache: Cache = False
    order: tuple[str | ReasoningBlock | int, ...] = ()
    failed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, such as an answer that was all reasoning. The result of a tool may be an empty text."""
        return not (self.text and not self.text.isspace()) and not self.tool_calls and not self.parts and self.role != "tool"


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call; `parameters` is a JSON Schema of type object.

    `strict`: the arguments must follow the schema. `cache` marks a cache point after the tool. `anthropics` is one of
    Anthropic's own that the caller runs, such as a shell, in its API's words: its models know the schema, and `parameters` is
    empty.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False
    cache: Cache = False
    anthropics: dict[str, Any] = {}


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form of an answer's text: a JSON object, or JSON that follows `schema`, which is strict where that is asked."""

    type: Literal["json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: dict[str, Any] = {}
    strict: bool = False


class ToolChoice(msgspec.Struct, frozen=True):
    """`auto`: the model decides; `none`: it calls none; `required`: it calls one; `tool`: it calls `name`."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str = ""


# The sampling parameters that are numbers: from and to, as the API formats take them. A target's own bound may be tighter.
NUMERIC_PARAMETERS: Mapping[str, tuple[float, float]] = {"temperature": (0, 2), "top_p": (0, 1)}
# The value with which each of them changes nothing.
NEUTRAL = 1.0


class Sampling(msgspec.Struct, frozen=True):
    """How many tokens are generated and how they are chosen. None: not given. `reasoning_effort` is OpenAI's: none, low, …"""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None

    def named(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the given parameters by a provider's names. `names` maps ours to the provider's."""
        return {theirs: value for ours, theirs in names.items() if (value := getattr(self, ours)) not in (None, ())}


class ChatRequest(msgspec.Struct, frozen=True):
    """What a caller asks for.

    `system` and `sampling` hold the caller's values, `default_system` and `defaults` those of the API format for what the
    caller does not give. A default is sent only to a model that accepts the parameter. Where the request is `exact`, a caller's
    value is sent, or refused with the parameter's name; else a temperature, a top_p or an effort that the target does not
    accept is left out and named in the answer's head, and `max_tokens` is lowered to its bound. `model` is an alias, empty for
    the first one. `names` maps our names of fields to the API format's, where they differ. `rare` holds parameters of
    `RareParameter` by name, with OpenAI's values (and `top_logprobs` beside `logprobs`), and `hints` those of `Hint`.
    `cache_system` marks a cache point after the system text. `thinking` is what the caller says of it in Anthropic's words, for
    Claude: type, budget_tokens, display, effort.
    """

    kind: ClassVar[Kind] = "chat"

    messages: tuple[Message, ...]
    model: str = ""
    system: str | None = None
    default_system: str | None = None
    sampling: Sampling = Sampling()
    defaults: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    stream: bool = False
    exact: bool = False
    names: Mapping[str, str] = {}
    response_format: ResponseFormat | None = None
    parallel_tool_calls: bool = True
    rare: Mapping[str, Any] = {}
    hints: Mapping[str, Any] = {}
    cache_system: Cache = False
    thinking: Mapping[str, Any] = {}

    def name(self, field: str) -> str:
        """Return the caller's name of a field."""
        return self.names.get(field) or field

    @property
    def uses_tools(self) -> bool:
        """Whether tools are offered or were called earlier in the conversation."""
        return bool(self.tools or [message for message in self.messages if message.tool_calls])
