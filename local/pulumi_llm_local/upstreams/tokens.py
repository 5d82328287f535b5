"""Tokens as the local run counts them. The rule is simple, so that every number in an answer can be checked by hand."""

import json
import re

from pulumi_llm_local.upstreams.model import (
    Block,
    GenerationRequest,
    MediaBlock,
    ReasoningBlock,
    TextBlock,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
)


def count_tokens(text: str) -> int:
    """Count words and signs: a run of letters, digits and underscores is one token, and so is any other visible sign."""
    return len(_TOKEN.findall(text))


def input_tokens(request: GenerationRequest) -> int:
    """Count the tokens of the system texts, the messages and the tools' names, descriptions and schemas."""
    texts = [*request.system, *(_block_text(block) for message in request.messages for block in message.content)]
    texts += [text for tool in request.tools for text in _tool_texts(tool)]
    return sum(count_tokens(text) for text in texts)


def exceeds_context(request: GenerationRequest) -> bool:
    """Whether the request and the longest answer that it allows are together larger than the model's context."""
    limit = request.traits.context_tokens
    return limit is not None and input_tokens(request) + (request.max_tokens or 0) > limit


def exceeded_context(request: GenerationRequest) -> tuple[int, int]:
    """Return the numbers for the error of a request that is too long: the context's size and the request's, in tokens.

    The fault `context` refuses a request that is not too long. Its size is then given as one token too many.
    """
    limit = request.traits.context_tokens or _CONTEXT_TOKENS
    return limit, input_tokens(request) if exceeds_context(request) else limit + 1


_CONTEXT_TOKENS = 131_072
_TOKEN = re.compile(r"\w+|[^\w\s]")


def _block_text(block: Block) -> str:
    match block:
        case TextBlock() | ReasoningBlock() | ToolResultBlock():
            return block.text
        case MediaBlock():
            return f"{block.kind} {block.format}"
        case ToolUseBlock():
            return f"{block.name} {json.dumps(block.input, ensure_ascii=False)}"


def _tool_texts(tool: Tool) -> tuple[str, str, str]:
    return tool.name, tool.description, json.dumps(tool.schema, ensure_ascii=False)
