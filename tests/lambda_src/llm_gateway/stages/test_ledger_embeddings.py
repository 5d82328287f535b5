"""What a call of embeddings is charged, which a provider with small requests answers in parts."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from llm_gateway import errors
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.embeddings import EmbeddingCall, EmbeddingRequest, Part
from llm_gateway.errors import GatewayError
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.providers.embeddings import embed
from llm_gateway.router import Router
from llm_gateway.routes import Routes
from llm_gateway.stages.ledger import Ledger
from support.clock import Now
from support.scripted_provider import FAR, alias, target
from support.websocket_api import LEDGER

pytestmark = pytest.mark.timeout(60)

# Each text is a request, and counts as this many tokens.
TOKENS = 3
TEXTS = ("aaaa", "bbbb", "cccc")


class Titan:
    """A provider that answers one text a request. `ends` are the statuses of its answers, or how one cannot be used."""

    most_texts = 1

    def __init__(self, *ends: int | str) -> None:
        self.ends = list(ends)

    def body(self, call: EmbeddingCall, texts: Sequence[str]) -> dict[str, Any]:
        return {"texts": texts}

    def read(self, body: bytes, headers: Mapping[str, str]) -> Part:
        if body == b"unreadable":
            raise ValueError(body)
        return Part([[0.5]] * (2 if body == b"two" else 1), TOKENS)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return errors.upstream_throttled()

    def embed(self, call: EmbeddingCall) -> Any:
        async def send(body: bytes) -> Any:
            return Response(self.ends.pop(0) if self.ends else 200)

        return embed(call, self, send, lambda text: text)


class Response:
    headers: Mapping[str, str] = {}

    def __init__(self, end: int | str) -> None:
        self.status = end if isinstance(end, int) else 200
        self._body = end if isinstance(end, str) else ""

    async def read(self) -> bytes:
        return self._body.encode()

    def close(self) -> None:
        pass


# how the requests end, how often a failed call is made again -> the tokens that are charged
ENDS: dict[str, tuple[list[int | str], int, int]] = {
    "all are answered": ([], 0, 9),
    "none is": ([429, 429, 429], 0, 0),
    "two of three are": ([200, 200, 429], 0, 2 * TOKENS),
    "and the third when it is asked again": ([200, 200, 429, 200], 1, 3 * TOKENS),
    "one cannot be read: nobody knows what it cost": ([200, "unreadable"], 0, 3),
    "one has two vectors": (["two"], 0, 3),
}


@pytest.mark.parametrize(("ends", "retries", "charged"), ENDS.values(), ids=ENDS)
async def test_what_was_answered_is_charged(
    dynamodb: DynamoDB, moment: Now, ends: list[int | str], retries: int, charged: int
) -> None:
    limits = CallerLimits(others=Limits((Limit("tokens", "day", 1000),)))
    ledger = Ledger(dynamodb, LEDGER, limits, print, clock=moment)
    to = alias(target("titan", kind="embedding"), retries=retries)
    gateway = Gateway(Routes((to,)), Router({"p": Titan(*ends)}), ledger=ledger)  # pyright: ignore[reportArgumentType]
    batches = answer(gateway, EmbeddingRequest(TEXTS), Caller("acme", "ci"), "r", asyncio.get_running_loop().time() + FAR)
    try:
        assert [event async for batch in batches for event in batch]
    except GatewayError as error:
        assert error.code in ("upstream_throttled", "upstream_failed")
    item = await dynamodb.get_item(LEDGER, {"holder": {"S": '["caller","acme","ci"]'}}, consistent=True) or {}
    assert int(item["2027-01-15 tokens"]["N"]) == charged and "in_flight" not in item
