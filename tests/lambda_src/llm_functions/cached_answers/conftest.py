"""A service that caches its answers."""

from typing import Any

import pytest

from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.stages import cache, journal_writer
from support.cached_requests import ROUTES
from support.keyed_requests import Model, Start


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def api(gateway: Start, dynamodb: DynamoDB, dynamodb_url: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a gateway that caches answers, in front of the model."""
    # Many at once wait for the one thread of a stand-in.
    for name in ("_LOOKUP_SECONDS", "_DEAD_SECONDS", "_END_SECONDS"):
        monkeypatch.setattr(cache, name, 60.0)
    monkeypatch.setattr(journal_writer, "FLUSH_SECONDS", 0.02)

    async def start(**more: Any) -> Any:
        return await gateway(**{"provider": model, "routes": ROUTES, "cached": dynamodb_url, **more})

    return start
