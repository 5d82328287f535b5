"""Retrieval beside the ledger, the cache of answers, and rules of safety with a stop: who asks the knowledge base, and when."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway import errors
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.call import model_call
from llm_gateway.charge import most_of
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event, Start
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import Sampling
from llm_gateway.retrieval import Retrieval
from llm_gateway.retrieving_router import Retriever
from llm_gateway.router import Router
from llm_gateway.routes import Price, Routes
from llm_gateway.stages.cache import Cache
from llm_gateway.stages.knowledge_base import KnowledgeBase
from llm_gateway.stages.ledger import Ledger
from llm_gateway.stages.passages import Passage, clipped_bytes, most_passages, with_passages
from support.clock import Now
from support.scripted_provider import FAR, Scripted, alias, said, target
from support.websocket_api import JOURNAL, LEDGER

pytestmark = pytest.mark.timeout(60)

CALLER = Caller("acme", "ci")
SETTINGS = Retrieval(("main",), results=2, passage_bytes=200, answer_without=True)


class Base:
    """A knowledge base with these passages; None: it cannot be asked."""

    def __init__(self, *passages: str | None) -> None:
        self.passages_ = passages
        self.asked: list[str] = []

    async def passages(self, question: str, tenant: str, deadline: float) -> list[Passage]:
        self.asked.append(question)
        if None in self.passages_:
            raise errors.retrieval_unavailable()
        return [Passage(text or "", "s3://documents/a.txt") for text in self.passages_]


def gateway(base: Base, provider: Scripted, **stages: Any) -> Gateway:
    routes = Routes((alias("a"),), retrieval=SETTINGS, cache=stages.pop("routes_cache", None))
    retriever = Retriever(cast(KnowledgeBase, base), SETTINGS)
    return Gateway(routes, Router({"p": provider}), retriever=retriever, **stages)


async def call(to: Gateway, text: str = "Hi") -> list[Event]:
    request = said(text, sampling=Sampling(max_tokens=9, temperature=0))
    batches = answer(to, request, CALLER, "r", asyncio.get_running_loop().time() + FAR)
    return [event async for batch in batches for event in batch]


async def test_who_may_not_call_asks_nothing(dynamodb: DynamoDB, now: Now) -> None:
    limits = CallerLimits(others=Limits((Limit("requests", "minute", 1),)))
    ledger = Ledger(dynamodb, LEDGER, limits, lambda text: None, clock=now)
    base = Base("A passage.")
    limited = gateway(base, Scripted(), ledger=ledger)
    await call(limited)
    with pytest.raises(GatewayError) as refused:
        await call(limited)
    assert refused.value.status == 429 and base.asked == ["Hi"]


async def test_the_ledger_reserves_what_the_passages_may_have(dynamodb: DynamoDB, now: Now) -> None:
    # Two passages of 200 bytes are some 100 tokens, and the sentence before them some 70.
    limits = CallerLimits(others=Limits((Limit("tokens", "day", 120),)))
    ledger = Ledger(dynamodb, LEDGER, limits, lambda text: None, clock=now)
    base = Base("Short.")
    with pytest.raises(GatewayError) as refused:
        await call(gateway(base, Scripted(), ledger=ledger))
    assert refused.value.status == 429 and base.asked == []


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=400)


@given(texts=st.lists(_TEXT, max_size=2))
def test_no_passages_cost_more_than_was_reserved(texts: list[str]) -> None:
    def most(passages: Sequence[Passage]) -> int:
        request = with_passages(said("Hi", sampling=Sampling(max_tokens=9)), passages)
        to = target("a", price=Price(1_000_000, 1_000_000, 0, 0, 0))
        return most_of(model_call(request, alias(to), to, 0.0, CALLER)).micro_usd

    found = [Passage(clipped_bytes(text, SETTINGS.passage_bytes)) for text in texts]
    assert most(found) <= most(most_passages(SETTINGS))


@pytest.fixture
def answers(dynamodb: DynamoDB, now: Now) -> Cache:
    return Cache(dynamodb, JOURNAL, AnswerCache(600), [], lambda text: None, clock=now)


def start(events: Sequence[Event]) -> Start:
    assert isinstance(events[0], Start)
    return events[0]


@pytest.mark.parametrize(("passage", "retrieval"), [("A passage.", ""), (None, "unavailable")], ids=["found", "unavailable"])
async def test_an_answer_from_documents_is_not_kept(answers: Cache, passage: str | None, retrieval: str) -> None:
    """A document that is deleted, or moved to another tenant, is in no answer from then on."""
    base, provider = Base(passage), Scripted()
    cached = gateway(base, provider, cache=answers, routes_cache=AnswerCache(600))
    for _ in range(2):
        answered = start(await call(cached))
        assert answered.retrieval == retrieval and bool(answered.citations) is (passage is not None)
        assert answered.cache is None or answered.cache.status == "bypass"
    assert len(provider.calls) == 2
