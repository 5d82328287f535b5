"""Tokens as the local run counts them, so that every number in an answer can be checked by hand."""

import json
import re

from pulumi_llm_local.upstreams.model import Block, ConverseCall, ReasoningBlock, TextBlock, Tool, ToolResultBlock, ToolUseBlock


def count_tokens(text: str) -> int:
    """Words and punctuation marks: a run of letters, digits and underscores is one token, any other visible sign is one."""
    return len(_TOKEN.findall(text))


def input_tokens(call: ConverseCall) -> int:
    """Over the system texts, the messages and the tools' names, descriptions and schemas."""
    texts = [*call.system, *(_block_text(block) for message in call.messages for block in message.content)]
    texts += [text for tool in call.tools for text in _tool_texts(tool)]
    return sum(count_tokens(text) for text in texts)


_TOKEN = re.compile(r"\w+|[^\w\s]")


def _block_text(block: Block) -> str:
    match block:
        case TextBlock() | ReasoningBlock() | ToolResultBlock():
            return block.text
        case ToolUseBlock():
            return f"{block.name} {json.dumps(block.input, ensure_ascii=False)}"


def _tool_texts(tool: Tool) -> tuple[str, str, str]:
    return tool.name, tool.description, json.dumps(tool.schema, ensure_ascii=False)
