"""What a call costs: at most, before it is made, and in the end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.estimate import request_tokens, tokens_of
from llm_gateway.events import Usage
from llm_gateway.request import Media, Message
from llm_gateway.routes import Price

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingCall

_encode = msgspec.json.Encoder().encode

# Tokens that a provider adds to a message, to a request, and to one with tools. Anthropic's texts for tools have up to 700.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
_MESSAGE_TOKENS, _REQUEST_TOKENS, _TOOLS_TOKENS = 16, 64, 1_000
# Tokens of one of Anthropic's own tools, above what the page gives for any.
_ANTHROPICS_TOKENS = 3_000
# Tokens of the largest image. https://platform.claude.com/docs/en/build-with-claude/vision
_IMAGE_TOKENS = 5_000


class Charge(NamedTuple):
    """Tokens, and money in micro-dollars."""

    tokens: int = 0
    micro_usd: int = 0

    def plus(self, other: "Charge") -> "Charge":
        return Charge(self.tokens + other.tokens, self.micro_usd + other.micro_usd)

    def minus(self, other: "Charge") -> "Charge":
        return Charge(self.tokens - other.tokens, self.micro_usd - other.micro_usd)


NOTHING = Charge()


def most_of(call: "ModelCall | EmbeddingCall") -> Charge:
    """Return what a call is reserved: its tokens as they are estimated, and its money as it costs at most.

    A token has a byte of text or more, so the bytes are a bound of a request's tokens. They are four times as many as the
    tokens of English text, by which no limit of tokens could be used up: so tokens are estimated, and may be some more.
    """
    price = call.target.price
    if isinstance(call, ModelCall):
        answer = call.sampling.max_tokens or call.target.max_output_tokens
        estimate = request_tokens(call.system, call.messages, call.tools)
        most = _most_input_tokens(call) if price is not None else 0
    else:
        answer, estimate = 0, sum(tokens_of(len(text)) for text in call.texts)
        most = sum(_bytes(text) + _MESSAGE_TOKENS for text in call.texts) if price is not None else 0
    if price is None:
        return Charge(estimate + answer)
    return Charge(estimate + answer, _rounded_up(most * max(price.input, _cache_write(call, price)) + answer * price.output))


def of_usage(usage: Usage, call: "ModelCall | EmbeddingCall") -> Charge:
    """Return what an answer has used: its tokens, and its price. Cached tokens have prices of their own.

    Where the provider has not counted, the price is the most that the call can cost.
    """
    tokens = usage.input_tokens + usage.output_tokens
    price = call.target.price
    if price is None:
        return Charge(tokens)
    if usage.estimated:  # a text may have four times as many tokens
        return Charge(tokens, most_of(call).micro_usd)
    plain = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    cached = usage.cached_tokens * price.cache_read + usage.cache_write_tokens * _cache_write(call, price)
    return Charge(tokens, _rounded_up(plain * price.input + cached + usage.output_tokens * price.output))


def of_failure(error: GatewayError, call: "ModelCall | EmbeddingCall") -> Charge:
    """Return what a failed call has used: nothing where the provider refused it, the most where nobody knows."""
    if error.usage is not None:
        return of_usage(error.usage, call)
    return most_of(call) if error.is_billed else NOTHING


def _cache_write(call: "ModelCall | EmbeddingCall", price: Price) -> int:
    """Return the price of tokens that are written to the prompt cache. Those for an hour cost more, and no usage tells them."""
    if isinstance(call, ModelCall) and "1h" in (call.cache_system, *(each.cache for each in (*call.messages, *call.tools))):
        return price.cache_write_hour
    return price.cache_write


def _rounded_up(price_of_a_million: int) -> int:
    return -(-price_of_a_million // 1_000_000)


def _most_input_tokens(call: ModelCall) -> int:
    """Return a bound of the tokens that the provider can count for a request."""
    tokens = _REQUEST_TOKENS + _bytes(call.system or "")
    for message in call.messages:
        tokens += _MESSAGE_TOKENS + _message_bytes(message)
        for part in message.parts:
            if isinstance(part, Media):
                if part.kind == "document":  # nobody knows its pages here
                    return call.target.context_tokens
                tokens += _IMAGE_TOKENS
    if call.tools:
        tokens += _TOOLS_TOKENS
        for tool in call.tools:
            tokens += _MESSAGE_TOKENS + _bytes(tool.name) + _bytes(tool.description) + len(_encode(tool.parameters))
            tokens += _ANTHROPICS_TOKENS if tool.anthropics else 0
    if "prediction" in call.hints:
        tokens += len(_encode(call.hints["prediction"]))
    schemas = [call.response_format.schema] if call.response_format is not None else []
    for schema in (*schemas, call.checked_schema):
        tokens += len(_encode(schema)) if schema else 0
    return min(tokens, call.target.context_tokens)


def _message_bytes(message: Message) -> int:
    size = _bytes(message.text) + _bytes(message.reasoning)
    for use in message.tool_calls:
        size += _MESSAGE_TOKENS + _bytes(use.name) + _bytes(use.id) + _arguments_bytes(use.arguments)
    for block in message.reasoning_blocks:
        size += _bytes(block.text) + len(block.data) + len(block.signature)  # which may hold thinking that is not shown
    return size


def _arguments_bytes(arguments: Mapping[str, object]) -> int:
    return len(_encode(arguments))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
