"""A service that keeps its answers."""

from typing import Any

import pytest

from llm_functions.http import repeats
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.stages import journal_writer
from support.keyed_requests import ROUTES, Model, Start


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def api(gateway: Start, dynamodb: DynamoDB, dynamodb_url: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a gateway that keeps answers, in front of the model."""
    for module in (repeats, journal_writer):
        monkeypatch.setattr(module, "FLUSH_SECONDS", 0.02)

    async def start(**more: Any) -> Any:
        return await gateway(**{"provider": model, "routes": ROUTES, "journal": dynamodb_url, **more})

    return start
