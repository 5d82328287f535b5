"""The tools of a request in the format of Anthropic's Messages API, and which of them the model may call."""

from llm_functions.api_formats.fields import MOST_ITEMS, Fields, cache_point
from llm_functions.api_formats.tool_lists import unique
from llm_gateway.errors import clipped
from llm_gateway.request import Cache, Tool, ToolChoice


def read(fields: Fields) -> tuple[Tool, ...]:
    return unique(fields, map(_tool, fields.objects("tools", MOST_ITEMS)))


def _tool(tool: Fields) -> Tool:
    kind = tool.string("type")
    if kind not in (None, "custom"):
        reason = "is one of Anthropic's own tools and is not possible here; give tools of your own, with an input_schema"
        tool.wrong("type", f"{clipped(kind)!r} {reason}")
        return Tool(name="", description="", parameters={})
    for name in ("allowed_callers", "defer_loading", "eager_input_streaming", "input_examples"):
        tool.any(name)
    found = Tool(
        name=tool.string("name", required=True) or "",
        description=tool.string("description") or "",
        parameters=tool.object_schema("input_schema", required=True),
        strict=tool.boolean("strict"),
        cache=is_cached(tool),
    )
    tool.no_others()
    return found


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
