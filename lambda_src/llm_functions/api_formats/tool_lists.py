"""Tools that are given twice: no provider but OpenAI takes two of one name."""

from collections.abc import Iterable

from llm_functions.api_formats.fields import Fields
from llm_gateway.errors import clipped
from llm_gateway.request import Tool


def unique(fields: Fields, tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """Return the tools, each once. Agents that join several lists repeat some; two others of one name are an error."""
    found: dict[str, Tool] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) != tool:
            fields.wrong("tools", f"may have one tool of the name {clipped(tool.name)!r}, not two that differ")
    return tuple(found.values())
