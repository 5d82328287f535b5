"""Tools that are given twice, which no provider but OpenAI takes, and those that a tool choice allows."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from llm_functions.api_formats.fields import Fields
from llm_gateway.errors import clipped
from llm_gateway.request import Tool, ToolChoice


def unique(fields: Fields, tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """Return the tools, each once. Agents that join several lists repeat some; two others of one name are an error."""
    found: dict[str, Tool] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) != tool:
            fields.wrong("tools", f"may have one tool of the name {clipped(tool.name)!r}, not two that differ")
    return tuple(found.values())


def allowed(
    fields: Fields, choice: Any, tools: tuple[Tool, ...], name_of: Callable[[Any], str | None]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that a tool choice of OpenAI's type allowed_tools allows, and the choice among them.

    `choice` has the mode and the tools, and `name_of` returns the name of one of them, None for a hosted one: it is left out.
    https://platform.openai.com/docs/guides/function-calling#tool-choice
    """
    given = cast("dict[str, Any]", choice) if isinstance(choice, dict) else {}
    mode, listed = given.get("mode"), given.get("tools")
    if mode not in ("auto", "required") or not isinstance(listed, list):
        fields.wrong("tool_choice", "of the type allowed_tools needs tools, a list, and its mode must be 'auto' or 'required'")
        return tools, ToolChoice()
    names = {name for each in cast("list[Any]", listed) if (name := name_of(each)) is not None}
    for name in sorted(names - {tool.name for tool in tools}):
        fields.wrong("tool_choice", f"there is no tool {clipped(name)!r} in tools")
    if not names:
        fields.wrong("tool_choice", "allows none of the tools; use 'none'")
    return tuple(tool for tool in tools if tool.name in names), ToolChoice(mode)
