"""The limits of callers over the whole local run: REST, streams and WebSockets count alike."""

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from system.local.conftest import LocalStack, events, local_stack
from system.local.test_websocket import ask, connected, messages_until_end

pytestmark = pytest.mark.timeout(300)

FIT = 20
SETTINGS = {
    "api.limits": {"requests": {"day": FIT}},
    "api.keys": [{"name": "default"}, {"name": "small", "tenant": "acme", "limits": {"usd": {"day": 0.01}}}],
    "api.throttle": {"rate_limit": 1_000, "burst_limit": 1_000},
}


@pytest.mark.assumes("ledger-update")
async def test_of_many_calls_at_once_as_many_pass_as_fit() -> None:
    config = [part for name, value in SETTINGS.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    with local_stack("--model-delay", "0.05,0.01", *config) as stack:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: _call(stack, number), range(64)))
        assert Counter(answer.status_code for answer in answers) == {200: FIT, 429: 64 - FIT}
        for answer in answers:
            assert answer.headers["x-ratelimit-limit-requests"] == str(FIT)
            if answer.status_code == 429:
                error = answer.json()["error"]
                assert (error["code"], f"may use {FIT} requests a day" in error["message"]) == ("quota_exceeded", True)
                assert 0 < int(answer.headers["retry-after"]) <= 86_400
                assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        # What is used over REST counts over WebSockets, too.
        async with connected(stack) as client:
            await ask(client, action="chat", id="one", message="Hi")
            (refused,) = await messages_until_end(client)
        assert (refused["type"], refused["error"]["code"]) == ("error", "quota_exceeded")
        _is_told_its_use(stack, answers)


def _is_told_its_use(stack: LocalStack, answers: Sequence[httpx.Response]) -> None:
    """What answers said, and what it cost: another key of the stack has a limit in dollars."""
    told = httpx.get(f"{stack.url}/usage", headers={"authorization": f"Bearer {stack.key}"}, timeout=60)
    caller = told.json()["caller"]
    (left,) = caller["limits"]
    assert (caller["name"], caller["calls_in_flight"]["used"]) == ("default", 0)
    assert (left["measure"], left["used"], left["remaining"]) == ("requests", FIT, 0)
    assert caller["day"]["tokens"] == sum(_tokens(answer) for answer in answers if answer.status_code == 200)
    assert caller["day"]["requests"] == FIT and 0 < caller["day"]["usd"] < 0.01
    assert httpx.get(f"{stack.url}/usage", timeout=60).status_code == 401


def _tokens(answer: httpx.Response) -> int:
    """The tokens of an answer, whole or streamed."""
    if "text/event-stream" in answer.headers["content-type"]:
        (usage,) = (data for _, kind, data in events(answer.text.splitlines()) if kind == "usage")
    else:
        usage = answer.json()
    return usage["input_tokens"] + usage["output_tokens"]


def _call(stack: LocalStack, number: int) -> httpx.Response:
    """A call over REST, whole or streamed."""
    body = {"message": "Hi", "max_tokens": 20}
    with httpx.Client(timeout=120, headers={"x-api-key": stack.key}) as client:
        answer = client.post(f"{stack.url}{('/chat', '/chat/stream')[number % 2]}", json=body)
    assert answer.status_code != 200 or number % 2 == 0 or "event: done" in answer.text
    return answer
