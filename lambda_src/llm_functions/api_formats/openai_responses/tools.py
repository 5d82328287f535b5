"""The tools of OpenAI's Responses API as functions, which all models have, and their calls as the items that a client expects.

https://platform.openai.com/docs/guides/function-calling. Codex sends such tools in every request:
https://github.com/openai/codex/blob/main/codex-rs/tools/src/tool_spec.rs
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from llm_functions.api_formats.fields import MOST_ITEMS, Fields
from llm_functions.api_formats.tool_lists import allowed, unique
from llm_gateway.errors import clipped
from llm_gateway.request import Tool, ToolChoice

# Tools that run at OpenAI and without which a model answers as well: they are left out, and the answer's head names them.
# Clients such as Codex always offer them.
LEFT_OUT = (
    *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
    *("image_generation", "tool_search"),
)

# The one argument of the function that stands for a custom tool, whose input is a text.
_INPUT = "input"
_CUSTOM: dict[str, Any] = {
    "type": "object",
    "properties": {_INPUT: {"type": "string"}},
    "required": [_INPUT],
    "additionalProperties": False,
}

# Each of its tools has its name before its own.
_LONGEST_NAMESPACE = 256

_encode = msgspec.json.Encoder().encode


class Declared(NamedTuple):
    """A tool as the client knows it: `custom` takes a text, not an object."""

    name: str
    namespace: str = ""
    custom: bool = False


def full_name(name: str, namespace: str | None) -> str:
    """Return the name of a function for the model. Codex's namespaces of MCP servers end with two underlines themselves."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def declared(body: Mapping[str, Any]) -> dict[str, Declared]:
    """Return the custom tools and those in namespaces of a request's body that was parsed, by the names of their functions."""
    found: dict[str, Declared] = {}
    for tool in body.get("tools") or ():
        namespace = tool["name"] if tool["type"] == "namespace" else ""
        for each in tool.get("tools") or () if namespace else (tool,):
            if namespace or each["type"] == "custom":
                name = each["name"]
                found[full_name(name, namespace)] = Declared(name, namespace, each["type"] == "custom")
    return found


def call_item(identifier: str, call_id: str, tool: Declared, arguments: str, status: str = "completed") -> dict[str, Any]:
    """Return the item of a call."""
    kind = "custom_tool_call" if tool.custom else "function_call"
    item = {"type": kind, "id": identifier, "call_id": call_id, "name": tool.name}
    if tool.namespace:
        item["namespace"] = tool.namespace
    given = {_INPUT: input_text(arguments)} if tool.custom else {"arguments": arguments}
    return {**item, **given, "status": status}


def input_text(arguments: str) -> str:
    """Return the input of a custom tool from the arguments of its function, which may have been cut."""
    try:
        text = msgspec.json.decode(arguments, type=dict[str, Any]).get(_INPUT)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    return text if isinstance(text, str) else arguments


def input_arguments(text: str) -> dict[str, Any]:
    """Return the arguments of the function that stands for a custom tool."""
    return {_INPUT: text}


# Reading.


def read(fields: Fields) -> tuple[tuple[Tool, ...], list[str]]:
    """Return the tools, and the types of those that are left out."""
    tools: list[Tool] = []
    left_out: list[str] = []
    for tool in fields.objects("tools", MOST_ITEMS):
        match tool.string("type", required=True):
            case "namespace":
                tools += _namespace(tool)
            case str(shape) if shape in LEFT_OUT:
                left_out.append(shape)
            case shape:
                tools += _tool(tool, shape)
        if len(tools) > MOST_ITEMS:
            fields.wrong("tools", f"may hold at most {MOST_ITEMS:,}, those of namespaces counted")
            return (), left_out
    return unique(fields, tools), left_out


def _namespace(namespace: Fields) -> list[Tool]:
    """Return the tools of a namespace. What it says of itself stands with the first of them."""
    name, context = namespace.string("name", required=True) or "", namespace.string("description") or ""
    if len(name) > _LONGEST_NAMESPACE:
        namespace.wrong("name", f"must have at most {_LONGEST_NAMESPACE} characters, not {len(name):,}")
        name = ""
    tools: list[Tool] = []
    for each in namespace.objects("tools", MOST_ITEMS):
        tools += _tool(each, each.string("type", required=True), name, "" if tools else context)
    namespace.no_others()
    return tools


def _tool(tool: Fields, shape: str | None, namespace: str | None = "", context: str = "") -> list[Tool]:
    """Return a function or a custom tool; `context` describes its namespace. An empty list for what is neither."""
    if shape not in (None, "function", "custom"):
        known = "'function', 'custom' and 'namespace' are"
        tool.wrong("type", f"only {known} possible here, not {clipped(shape)!r}, which runs at OpenAI or in its clients")
        return []
    for name in ("allowed_callers", "defer_loading", "output_schema", "async"):
        tool.any(name)
    name, described = tool.string("name", required=True) or "", tool.string("description") or ""
    if shape == "custom":
        parameters, strict, grammar = _CUSTOM, False, _grammar(tool)
        described = "\n\n".join(part for part in (described, grammar) if part)
    else:
        parameters, strict = tool.object_schema("parameters"), tool.boolean("strict")
    tool.no_others()
    described = "\n\n".join(part for part in (context, described) if part)
    return [Tool(name=full_name(name, namespace), description=described, parameters=parameters, strict=strict)]


def _grammar(tool: Fields) -> str:
    """Return what to tell the model of the form of a custom tool's input: nothing here makes it keep to it."""
    form = tool.object("format")
    if form is None:
        return ""
    shape, syntax, definition = form.string("type"), form.string("syntax"), form.string("definition")
    form.no_others()
    return f"The input must follow this grammar ({syntax}):\n{definition}" if shape == "grammar" else ""


def choice(fields: Fields, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and the choice among them."""
    given = fields.any("tool_choice")
    match given:
        case None | "auto":
            return tools, ToolChoice()
        case "none":
            return tools, ToolChoice("none")
        case "required":
            if not tools:
                fields.wrong("tool_choice", "'required' needs tools")
            return tools, ToolChoice("required")
        case {"type": "function" | "custom"} if (name := _chosen_name(given)) is not None:
            if name not in {tool.name for tool in tools}:
                fields.wrong("tool_choice", f"there is no tool {clipped(name)!r} in tools")
            return tools, ToolChoice("tool", name)
        case {"type": "allowed_tools"}:
            return allowed(fields, given, tools, _chosen_name)
        case _:
            known = '\'auto\', \'none\', \'required\', {"type": "function", "name": …} or {"type": "allowed_tools", …}'
            fields.wrong("tool_choice", f"must be {known}")
            return tools, ToolChoice()


def _chosen_name(tool: Any) -> str | None:
    """Return the name of the function for a tool that a choice names, None for one that is hosted by OpenAI."""
    match tool:
        case {"type": "function" | "custom", "name": str(name), **others}:
            namespace = others.get("namespace")
            return full_name(name, namespace if isinstance(namespace, str) else "")
        case _:
            return None
