"""The tools of a request in the format of Anthropic's Messages API, and which of them the model may call."""

import re
from typing import Any

from llm_functions.api_formats.fields import MOST_ITEMS, Fields, cache_point
from llm_functions.api_formats.tool_lists import unique
from llm_gateway.errors import clipped
from llm_gateway.request import Cache, Tool, ToolChoice


def read(fields: Fields) -> tuple[Tool, ...]:
    return unique(fields, map(_tool, fields.objects("tools", MOST_ITEMS)))


def _tool(tool: Fields) -> Tool:
    kind = tool.string("type")
    for name in ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"):
        tool.any(name)
    if kind not in (None, "custom"):
        return _anthropics(tool, kind)
    found = Tool(
        name=tool.string("name", required=True) or "",
        description=tool.string("description") or "",
        parameters=tool.object_schema("input_schema", required=True),
        strict=tool.boolean("strict"),
        cache=is_cached(tool),
    )
    tool.no_others()
    return found


# Anthropic's tools that the caller runs, as it runs tools of its own, with their dates.
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
_is_run_by_callers = re.compile(r"(bash|text_editor|memory|computer)_\d{8}").fullmatch


def _anthropics(tool: Fields, kind: str) -> Tool:
    """Return one of Anthropic's own tools."""
    if not _is_run_by_callers(kind):
        reason = (
            "is not possible here: of Anthropic's own tools, only those that the caller runs are (bash, text_editor, memory "
            "and computer, with their dates); what runs at Anthropic is billed apart and reaches other servers"
        )
        tool.wrong("type", f"{clipped(kind)!r} {reason}; give tools of your own, with an input_schema")
        return Tool(name="", description="", parameters={})
    name, cache = tool.string("name", required=True) or "", is_cached(tool)
    tool.any("strict")
    given: dict[str, Any] = {
        **{each: tool.integer(each, 1) for each in ("max_characters", "display_width_px", "display_height_px")},
        "display_number": tool.integer("display_number", 0),
        "enable_zoom": tool.boolean("enable_zoom") or None,
    }
    tool.no_others()
    own = {"type": kind, "name": name, **{each: value for each, value in given.items() if value is not None}}
    return Tool(name=name, description="", parameters={}, cache=cache, anthropics=own)


def choice(fields: Fields, tools: tuple[Tool, ...]) -> tuple[ToolChoice, bool]:
    """Return the choice, and whether the model may call several tools at once."""
    given = fields.object("tool_choice")
    if given is None:
        return ToolChoice(), True
    parallel = not given.boolean("disable_parallel_tool_use")
    name = given.string("name")
    kind = given.string("type", required=True)
    given.no_others()
    match kind:
        case "auto" | "none":
            return ToolChoice(mode=kind), parallel
        case "any":
            if not tools:
                fields.wrong("tool_choice", "'any' needs tools")
            return ToolChoice(mode="required"), parallel
        case "tool":
            if name not in {tool.name for tool in tools}:
                given.wrong("name", f"there is no tool {clipped(name or '')!r} in tools")
            return ToolChoice(mode="tool", name=name or ""), parallel
        case None:
            pass
        case _:
            given.wrong("type", f"must be auto, any, tool or none, not {clipped(kind)!r}")
    return ToolChoice(), parallel


def is_cached(fields: Fields) -> Cache:
    """Whether an object ends a part that is kept in the provider's prompt cache, and whether for an hour."""
    return cache_point(fields.any("cache_control"))
