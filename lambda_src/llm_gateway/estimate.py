"""How many tokens a text has, roughly, where nobody has counted them."""

from collections.abc import Iterable

import msgspec

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
