"""How many tokens a text has, roughly, where nobody has counted them."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from llm_gateway.events import Usage
from llm_gateway.request import Message, Tool

# Characters per token of English text. https://platform.openai.com/tokenizer
CHARACTERS_PER_TOKEN = 4
# Tokens of an image or of a document's page, which no text tells. https://docs.claude.com/en/docs/build-with-claude/vision
TOKENS_PER_MEDIA = 1500

_encode = msgspec.json.Encoder().encode


def tokens_of(characters: int) -> int:
    """Return the tokens of a text of that many characters, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def reasoning_tokens_of(characters: int, output_tokens: int) -> int:
    """Return the tokens of an answer's reasoning of that many characters. They are part of its output tokens."""
    return min(tokens_of(characters), output_tokens)


class Asked(Protocol):
    """What a model is asked."""

    @property
    def system(self) -> str | None: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def tools(self) -> tuple[Tool, ...]: ...


def usage_so_far(asked: Asked, characters: int, reasoning_characters: int) -> Usage:
    """Return the usage of an answer that ends before its provider has counted, after so many characters of text and arguments,
    and of reasoning."""
    output = tokens_of(characters + reasoning_characters)
    return Usage(
        input_tokens=request_tokens(asked.system, asked.messages, asked.tools),
        output_tokens=output,
        reasoning_tokens=reasoning_tokens_of(reasoning_characters, output),
        estimated=True,
    )


def request_tokens(system: str | None, messages: Iterable[Message], tools: Iterable[Tool]) -> int:
    """Return the tokens of a request."""
    characters = len(system or "")
    media = 0
    for message in messages:
        characters += len(message.text) + len(message.reasoning)
        characters += sum(len(use.name) + len(_encode(use.arguments)) for use in message.tool_calls)
        media += sum(not isinstance(part, str) for part in message.parts)
    characters += sum(len(tool.name) + len(tool.description) + len(_encode(tool.parameters)) for tool in tools)
    return tokens_of(characters) + media * TOKENS_PER_MEDIA
