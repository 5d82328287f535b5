"""Requests that are sent again, streams that go on and streams that are stopped, over the whole local run."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from system.local.conftest import LocalStack, events, local_stack

pytestmark = pytest.mark.timeout(300)

BODY = {"message": "Tell me a long story", "max_tokens": 4000}
# Seconds a token: an answer takes several seconds, and a stream looks once a second whether it is to be stopped.
DELAY = 0.05


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    settings: dict[str, Any] = {"idempotency": True, "throttle": {"rate_limit": 1_000, "burst_limit": 1_000}}
    config = [part for name, value in settings.items() for part in ("--config", f"api.{name}={json.dumps(value)}")]
    with local_stack("--model-delay", f"0,{DELAY}", *config) as running:
        yield running


def test_a_request_that_is_sent_again(stack: LocalStack) -> None:
    first, second = (stack.post("/chat", {"message": "Hi"}, idempotency_key="one") for _ in range(2))
    assert (first.status_code, "idempotent-replayed" in first.headers) == (200, False)
    assert (second.content, second.headers["idempotent-replayed"]) == (first.content, "true")
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    other = stack.post("/chat", {"message": "Ho"}, idempotency_key="one")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


def test_a_stream_goes_on_where_its_client_lost_it(stack: LocalStack) -> None:
    key = {"x-api-key": stack.key, "idempotency-key": "two"}
    body = {"message": "Say something"}
    with httpx.stream("POST", stack.outputs["stream_url"], json=body, headers=key, timeout=60) as response:
        lines: list[str] = []
        for line in response.iter_lines():
            lines.append(line)
            if not line and len(events(lines)) == 3:
                break  # the connection breaks off
    begun = events(lines)
    rest = stack.post("/chat/stream", body, idempotency_key="two", last_event_id="3")
    assert rest.headers["idempotent-replayed"] == "true"
    whole = events(stack.post("/chat/stream", body, idempotency_key="two").text.split("\n"))
    assert begun + events(rest.text.split("\n")) == whole
    assert ([number for number, _, _ in whole], whole[-1][1]) == (list(range(1, len(whole) + 1)), "done")
    nothing = stack.post("/chat/stream", body, idempotency_key="two", last_event_id=str(len(whole)))
    assert (nothing.status_code, nothing.content) == (204, b"")


@pytest.mark.parametrize("path", ["/chat/stream", "/v1/chat/completions"])
def test_a_caller_stops_its_stream(stack: LocalStack, path: str) -> None:
    chat = {"model": "", "messages": [{"role": "user", "content": BODY["message"]}], "stream": True}
    models = httpx.get(f"{stack.url}/v1/models", headers={"x-api-key": stack.key}, timeout=60).json()["data"]
    body = BODY if path == "/chat/stream" else {**chat, "model": models[0]["id"]}
    with httpx.stream("POST", stack.url + path, json=body, headers={"x-api-key": stack.key}, timeout=60) as response:
        lines = response.iter_lines()
        got = [next(lines)]
        stopped = httpx.delete(f"{stack.url}/chat/{response.headers['x-request-id']}", headers={"x-api-key": stack.key})
        assert (stopped.status_code, stopped.headers["access-control-allow-origin"]) == (202, "*")
        got += list(lines)
    if path == "/chat/stream":
        assert [(kind, data.get("stop_reason")) for _, kind, data in events(got)][-1] == ("done", "cancelled")
    else:
        assert ('"finish_reason":"length"' in "".join(got), got[-2]) == (True, "data: [DONE]")


def test_who_may_stop_a_stream(stack: LocalStack) -> None:
    url = f"{stack.url}/chat/0b1c"
    assert httpx.delete(url, timeout=60).status_code == 401
    preflight = httpx.options(url, headers={"origin": "https://a.example", "access-control-request-method": "DELETE"})
    assert "DELETE" in preflight.headers["access-control-allow-methods"].split(",")
