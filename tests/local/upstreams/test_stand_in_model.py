"""The model that answers where there is no real one."""

import asyncio
import json
from typing import Any

import pytest

from pulumi_llm_local.upstreams.model import (
    GenerationRequest,
    Message,
    ModelTraits,
    Piece,
    TextBlock,
    TextDelta,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
    ToolUseDelta,
    ToolUseStart,
)
from pulumi_llm_local.upstreams.stand_in_model import StandInModel

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SHOWN = f"Answer in JSON, {{as here}}, by this schema:\n{json.dumps(CITY)}"


def pieces(request: GenerationRequest) -> list[Piece]:
    async def read() -> list[Piece]:
        return [piece async for piece in StandInModel().generate(request)]

    return asyncio.run(read())


def answer(schema: dict[str, Any], prompt: str, *system: str) -> Any:
    request = GenerationRequest(
        model_id="model",
        traits=ModelTraits(accepts=frozenset()),
        messages=(Message("user", (TextBlock(prompt),)),),
        system=system,
        output_schema=schema,
    )
    return json.loads("".join(piece.text for piece in pieces(request) if isinstance(piece, TextDelta)))


@pytest.mark.parametrize(
    ("schema", "prompt", "system", "keys"),
    [
        (CITY, "Name a city.", (), {"name"}),
        ({"type": "object"}, SHOWN, (), {"name"}),
        ({"type": "object", "properties": {}}, "Name a city.", (SHOWN,), {"name"}),
        ({"type": "object"}, "Name a city.", (), {"answer"}),
        ({"type": "object", "properties": {}, "additionalProperties": False}, SHOWN, (), set[str]()),
    ],
    ids=["the schema asked for", "shown to the user's", "shown by the system", "none", "no field allowed"],
)
def test_an_object_follows_the_schema_that_is_asked_for_or_shown(
    schema: dict[str, Any], prompt: str, system: tuple[str, ...], keys: set[str]
) -> None:
    assert set(answer(schema, prompt, *system)) == keys


def tool(name: str) -> Tool:
    return Tool(name, "", CITY)


ANSWERED = (
    Message("user", (TextBlock("The weather in Paris?"),)),
    Message("assistant", (ToolUseBlock("call_1", "weather", {"name": "Paris"}),)),
    Message("user", (ToolResultBlock("call_1", "7 degrees"),)),
)


@pytest.mark.parametrize(
    ("system", "called"),
    [
        ("Be brief.", None),
        ("Be brief.\n\nAnswer only by calling one of your tools. Write no text.", "City"),
        ("Answer only by calling the tool weather. Write no text.", "weather"),
        ("Give your final answer only by calling the tool City.", None),
    ],
)
def test_a_call_that_is_forced_in_words(system: str, called: str | None) -> None:
    request = GenerationRequest("model", ModelTraits(frozenset()), ANSWERED, (system,), tools=(tool("weather"), tool("City")))
    names = [piece.name for piece in pieces(request) if isinstance(piece, ToolUseStart)]
    assert names == ([called] if called else [])


SHOWING = "Answer with one JSON object and nothing else. It follows this JSON Schema:\n"
MAP = {"type": "object", "additionalProperties": {"type": "integer"}}


@pytest.mark.parametrize(
    ("model", "system", "text"),
    [
        ("gpt-oss", SHOWING + json.dumps(CITY), '{"name": "A city?"}'),
        ("gpt-oss", SHOWING + json.dumps(MAP), '{"answer": 1}'),
        ("gpt-oss", SHOWING + json.dumps({"$ref": "#/$defs/City", "$defs": {"City": CITY}}), '{"name": "A city?"}'),
        ("gpt-oss", "Answer with one JSON object.", '{"answer": "A city?"}'),
        ("claude-opus-5-5", "Answer with one JSON object.", '```json\n{"answer": "A city?"}\n```'),
        (
            "llama3-3",
            "Answer with one JSON object.",
            'Here is the {JSON} object:\n\n{"answer": "A city?"}\n\nDoes it help?',
        ),
    ],
)
def test_an_object_that_the_system_asks_for(model: str, system: str, text: str) -> None:
    request = GenerationRequest(model, ModelTraits(frozenset()), (Message("user", (TextBlock("A city?"),)),), (system,))
    assert "".join(piece.text for piece in pieces(request) if isinstance(piece, TextDelta)) == text


@pytest.mark.parametrize("schema", [{"type": "object"}, MAP, {"type": "object", "properties": {}}])
def test_a_tool_without_properties_is_called_without_arguments(schema: dict[str, Any]) -> None:
    said = (Message("user", (TextBlock(SHOWN),)),)
    request = GenerationRequest("model", ModelTraits(frozenset()), said, tools=(Tool("answer", "", schema),), tool_choice="any")
    assert "".join(piece.input for piece in pieces(request) if isinstance(piece, ToolUseDelta)) == "{}"
