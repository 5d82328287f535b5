"""Anthropic's own tools that the caller runs: they go to Anthropic as they are, and to nobody else."""

from typing import Any

import pytest

from llm_functions.api_formats.anthropic_messages.request import parse
from llm_gateway.call import ModelCall, model_call
from llm_gateway.errors import GatewayError
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS, Parameter
from llm_gateway.routes import Alias, Target

pytestmark = pytest.mark.timeout(20)

CACHED = {"cache_control": {"type": "ephemeral"}}
OWN: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
# Anthropic's tool -> the beta that its request names
TOOLS: dict[str, tuple[dict[str, Any], str]] = {
    "bash": ({"type": "bash_20250124", "name": "bash"}, ""),
    "text editor": (
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10_000, **CACHED},
        "",
    ),
    "memory": ({"type": "memory_20250818", "name": "memory"}, ""),
    "computer": (
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768},
        "computer-use-2025-01-24",
    ),
    "new computer": (
        {"type": "computer_20251124", "name": "computer", "display_width_px": 1024, "display_height_px": 768},
        "computer-use-2025-11-24",
    ),
}


def called(tool: dict[str, Any], accepts: tuple[Parameter, ...]) -> ModelCall:
    target = Target("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", 8192, 200_000, accepts)
    body = {"model": "full", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], "tools": [OWN, tool]}
    return model_call(parse(body)[0], Alias("full", (target,)), target, 0.0)


@pytest.mark.parametrize(("tool", "beta"), TOOLS.values(), ids=TOOLS)
def test_a_tool_goes_to_anthropic_as_it_is(tool: dict[str, Any], beta: str) -> None:
    call = called(tool, ANTHROPIC.accepts)
    body = Anthropic().body(call)
    assert body["tools"] == [{"name": OWN["name"], "input_schema": OWN["input_schema"]}, tool]
    assert dict(Anthropic().headers("key", call)).get("anthropic-beta", "") == beta


@pytest.mark.parametrize(("tool", "_"), TOOLS.values(), ids=TOOLS)
def test_it_is_refused_by_name_where_the_model_is_not_asked_at_anthropic(tool: dict[str, Any], _: str) -> None:
    with pytest.raises(GatewayError, match=r"tools: full does not know '\w+'.*input_schema.*provider is Anthropic") as refused:
        called(tool, (*CHAT_PARAMETERS, *TOOL_PARAMETERS))
    assert (refused.value.code, refused.value.param) == ("invalid_value", "tools")
    assert tool["type"] in refused.value.message
