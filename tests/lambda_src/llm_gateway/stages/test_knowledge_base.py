"""The question that a knowledge base is asked, and what of its answer a tenant sees."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.aws.client import Aws
from llm_gateway.errors import GatewayError
from llm_gateway.retrieval import Retrieval
from llm_gateway.stages.knowledge_base import KnowledgeBase
from pulumi_llm_local.upstreams.bedrock.knowledge_bases import retrieve
from wire.knowledge_bases import knowledge_base

Documents = Mapping[str, tuple[str, Mapping[str, Any] | None]]


@dataclass
class Answers:
    """In the place of `Aws`: the local knowledge base, or these answers, one after the other."""

    documents: Documents = field(default_factory=dict[str, Any])
    replies: list[Any] = field(default_factory=list[Any])
    asked: list[Any] = field(default_factory=list[Any])
    status = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    filtered: bool = True
    _body: bytes = b""

    async def post(self, service: str, path: str, headers: Any, body: bytes, **limits: Any) -> "Answers":
        assert (service, path) == ("bedrock-agent-runtime", "/knowledgebases/KB12345678/retrieve")
        document = json.loads(body)
        self.asked.append(document)
        if self.replies:
            self._body = json.dumps(self.replies.pop(0)).encode()
            return self
        if not self.filtered:
            del document["retrievalConfiguration"]["vectorSearchConfiguration"]["filter"]
        self._body = json.dumps(retrieve(knowledge_base(self.documents), json.dumps(document).encode())).encode()
        return self

    async def read(self) -> bytes:
        return self._body


async def found(answers: Answers, question: str = "what?", tenant: str = "acme", **settings: Any) -> list[str]:
    base = KnowledgeBase(cast(Aws, answers), "KB12345678", Retrieval(("main",), **settings))
    return [passage.text for passage in await base.passages(question, tenant, time.monotonic() + 10)]


_TENANTS = st.sampled_from(["acme", "globex", "*", "", "acme2", "ACME", "anonymous"])
_OWNERS = st.one_of(st.none(), _TENANTS, st.integers(), st.booleans(), st.lists(_TENANTS, max_size=2))


@given(owners=st.lists(_OWNERS, max_size=12), tenant=_TENANTS, filtered=st.booleans(), results=st.integers(1, 20))
async def test_a_tenant_sees_its_own_passages_and_those_for_everyone_alone(
    owners: list[Any], tenant: str, filtered: bool, results: int
) -> None:
    # Also where the filter is lost: what comes back is looked at again.
    documents: Documents = {
        f"{number}.txt": (f"what? {number}", None if owner is None else {"tenant": owner})
        for number, owner in enumerate(owners)
    }
    seen = await found(Answers(documents, filtered=filtered), tenant=tenant, results=results)
    readable = {f"what? {number}" for number, owner in enumerate(owners) if owner == "*" or (owner == tenant and tenant)}
    assert set(seen) <= readable and len(seen) == len(set(seen)) <= results
    if filtered and not any(isinstance(owner, list) for owner in owners):
        assert len(seen) == min(results, len(readable))


FILTERS = {
    "acme": {"in": {"key": "tenant", "value": ["acme", "*"]}},
    "": {"equals": {"key": "tenant", "value": "*"}},
    "*": {"equals": {"key": "tenant", "value": "*"}},
}


@pytest.mark.assumes("retrieve-filter")
@pytest.mark.parametrize(("tenant", "filter"), FILTERS.items())
async def test_every_question_has_a_filter(tenant: str, filter: Any) -> None:
    answers = Answers()
    await found(answers, tenant=tenant, results=7)
    search = {"numberOfResults": 7, "filter": filter}
    assert answers.asked == [
        {"retrievalQuery": {"text": "what?"}, "retrievalConfiguration": {"vectorSearchConfiguration": search}}
    ]


async def test_the_metadatas_key_is_settable() -> None:
    documents: Documents = {"a.txt": ("ours", {"owner": "acme"}), "b.txt": ("theirs", {"owner": "globex", "tenant": "acme"})}
    assert await found(Answers(documents), tenant_key="owner") == ["ours"]


async def test_of_a_long_question_the_end_is_asked() -> None:
    answers = Answers()
    await found(answers, "x" * 5_000 + " who is Ada?")
    text = answers.asked[0]["retrievalQuery"]["text"]
    assert len(text) == 1_000 and text.endswith(" who is Ada?")


def result(text: Any, tenant: Any = "acme", score: Any = 0.5, **more: Any) -> Any:
    return {"content": {"text": text, "type": "TEXT"}, "metadata": {"tenant": tenant}, "score": score, **more}


async def test_pages_are_followed_until_there_are_enough() -> None:
    pages = [
        {"retrievalResults": [result("one"), result("of another", "globex")], "nextToken": "a"},
        {"retrievalResults": [result("two")], "nextToken": "b"},
        {"retrievalResults": [result("three"), result("four")], "nextToken": "c"},
    ]
    answers = Answers(replies=list(pages))
    assert await found(answers, results=3) == ["one", "two", "three"]
    assert [asked.get("nextToken") for asked in answers.asked] == [None, "a", "b"]


async def test_pages_without_an_end_are_left() -> None:
    answers = Answers(replies=[{"retrievalResults": [], "nextToken": "again"}] * 9)
    assert await found(answers) == [] and len(answers.asked) == 4


async def test_what_fits_too_little_is_left_out() -> None:
    results = [result("good", score=0.9), result("bad", score=0.1), result("nobody knows", score=None)]
    assert await found(Answers(replies=[{"retrievalResults": results}]), min_score=0.5) == ["good"]
    assert len(await found(Answers(replies=[{"retrievalResults": results}]))) == 3


async def test_only_texts_are_passages_and_long_ones_are_cut() -> None:
    image: Any = {"content": {"byteContent": "data:…", "type": "IMAGE"}, "metadata": {"tenant": "acme"}}
    results = [image, result(" "), result("y" * 5_000)]
    (text,) = await found(Answers(replies=[{"retrievalResults": results}]), passage_bytes=100)
    assert text == "y" * 97 + "…"


@pytest.mark.parametrize("body", [{}, {"retrievalResults": None}, {"retrievalResults": [{"content": "text"}]}, []])
async def test_an_answer_that_cannot_be_read_is_a_failure(body: Any) -> None:
    with pytest.raises(GatewayError) as failed:
        await found(Answers(replies=[body]))
    assert failed.value.code == "retrieval_unavailable"
