"""The cache of answers over the whole local run: REST, streams and WebSockets, and what the logs say of it."""

import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from pulumi_llm.base.bundle import cache_folder
from system.local.conftest import LocalStack, events, local_stack
from system.local.test_websocket import ask, connected, messages_until_end, text_of

pytestmark = pytest.mark.timeout(300)

SETTINGS = {
    "api.cache": {"ttl_seconds": 600},
    "api.metrics": {"namespace": "test"},
    "api.keys": [{"name": "default"}, {"name": "shop", "tenant": "shop"}],
}
ASKED: dict[str, Any] = {"message": "Tell me about rivers", "temperature": 0}


async def test_an_answer_is_generated_once_for_a_tenant() -> None:
    config = [part for name, value in SETTINGS.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    with local_stack("--model-delay", "0", *config) as stack:
        first = _post(stack)
        again = _post(stack)
        assert [_said(each) for each in (first, again)] == [("miss", None, None), ("hit", "0", str(_tokens(first)))]
        assert again.json()["message"] == first.json()["message"]

        stream = _post(stack, "/chat/stream")
        start = events(stream.text.splitlines())[0][2]
        assert _said(stream)[0] == "hit" and start["cache"]["saved_tokens"] == _tokens(first)
        parts = [data["text"] for _, kind, data in events(stream.text.splitlines()) if kind == "delta"]
        assert "".join(parts) == first.json()["message"]

        # What a request says of the cache, and a request that is not for it.
        assert _said(_post(stack, cache_control="no-store"))[0] == "bypass"
        assert _said(_post(stack, cache_control="no-cache"))[0] == "miss"
        assert _said(_post(stack, temperature=0.7))[0] == "bypass"
        assert _said(_post(stack, key=stack.outputs["api_keys"]["shop"]))[0] == "miss"

        async with connected(stack) as client:
            for number in range(2):
                await ask(client, action="chat", id=f"g{number}", **ASKED)
                messages = await messages_until_end(client)
                assert messages[0]["cache"]["status"] == ("miss", "hit")[number]
                assert text_of(messages) == first.json()["message"]
        assert messages[0]["cache"]["saved_tokens"] == _tokens(first)

        lines = _log(stack)
    assert Counter(line["cache.status"] for line in lines) == {"miss": 4, "hit": 3, "bypass": 2}
    measured = [line for line in lines if "_aws" in line]  # of the REST API
    assert sum(line.get("cache.hits", 0) for line in measured) == sum(line["cache.status"] == "hit" for line in measured) >= 2
    assert {line["cache.saved_tokens"] for line in lines if line["cache.status"] == "hit"} == {_tokens(first)}


def _post(stack: LocalStack, path: str = "/chat", *, key: str = "", cache_control: str = "", **body: Any) -> httpx.Response:
    headers = {"x-api-key": key or stack.key, **({"cache-control": cache_control} if cache_control else {})}
    answer = httpx.post(stack.url + path, json={**ASKED, **body}, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def _said(answer: httpx.Response) -> tuple[str | None, ...]:
    return tuple(answer.headers.get(name) for name in ("x-llm-cache", "age", "x-llm-saved-tokens"))


def _tokens(answer: httpx.Response) -> int:
    usage = answer.json()["usage"]
    return usage["input_tokens"] + usage["output_tokens"]


def _log(stack: LocalStack) -> list[dict[str, Any]]:
    """The records of requests that the cache has seen."""
    folder = cache_folder() / "local" / f"dev-{urlsplit(stack.url).port}"
    texts = [line for file in folder.glob("*.log") for line in file.read_text().splitlines() if line.startswith("{")]
    return [line for line in map(json.loads, texts) if "cache.status" in line]
