"""The model that answers where there is no real one."""

import asyncio
import json
from typing import Any

import pytest

from pulumi_llm_local.upstreams.model import GenerationRequest, Message, ModelTraits, TextBlock, TextDelta
from pulumi_llm_local.upstreams.stand_in_model import StandInModel

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SHOWN = f"Answer in JSON, {{as here}}, by this schema:\n{json.dumps(CITY)}"


def answer(schema: dict[str, Any], prompt: str, *system: str) -> Any:
    async def text() -> str:
        request = GenerationRequest(
            model_id="model",
            traits=ModelTraits(accepts=frozenset()),
            messages=(Message("user", (TextBlock(prompt),)),),
            system=system,
            output_schema=schema,
        )
        return "".join([piece.text async for piece in StandInModel().generate(request) if isinstance(piece, TextDelta)])

    return json.loads(asyncio.run(text()))


@pytest.mark.parametrize(
    ("schema", "prompt", "system", "keys"),
    [
        (CITY, "Name a city.", (), {"name"}),
        ({"type": "object"}, SHOWN, (), {"name"}),
        ({"type": "object", "properties": {}}, "Name a city.", (SHOWN,), {"name"}),
        ({"type": "object"}, "Name a city.", (), set[str]()),
        ({"type": "object", "properties": {}, "additionalProperties": False}, SHOWN, (), set[str]()),
    ],
    ids=["the schema asked for", "shown to the user's", "shown by the system", "none", "no field allowed"],
)
def test_an_object_follows_the_schema_that_is_asked_for_or_shown(
    schema: dict[str, Any], prompt: str, system: tuple[str, ...], keys: set[str]
) -> None:
    assert set(answer(schema, prompt, *system)) == keys
