"""Models on GPUs of one's own behind the whole stack: asleep, woken, full, killed and draining. A caller always has an end."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from system.local.conftest import LocalStack, events, failed_start, local_stack

PROGRAM = Path(__file__).with_name("programs") / "gpu"
BEDROCK = "bedrock/gpt-oss-20b"
SETTINGS = ("--model-delay", "0,0.01", "--pool-start", "3")
FAULTS = ("--fault", "busy=full", "--fault", "dying=killed:0.34", "--fault", "leaving=draining")


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack(*SETTINGS, *FAULTS, directory=PROGRAM) as running:
        yield running


def asked(stack: LocalStack, model: str) -> httpx.Response:
    return stack.post("/chat/stream", {"message": "Hello", "model": model})


def end(response: httpx.Response) -> str:
    """How an answer ended: done, or the code of its error, which may come before the stream or within it."""
    if response.status_code != 200:
        return response.json()["error"]["code"]
    (*_, (_, kind, data)) = events(response.text.splitlines())
    return data["error"]["code"] if kind == "error" else kind


def by_websocket(stack: LocalStack, model: str) -> str:
    """How a generation over the WebSocket API ended, and who answered."""
    headers = {"authorization": f"Bearer {stack.key}"}
    with connect(stack.outputs["websocket_url"], additional_headers=headers) as client:
        client.send(json.dumps({"action": "chat", "id": model, "message": "Hello", "model": model}))
        target = ""
        while True:
            received = json.loads(client.recv(timeout=60))
            for message in received if isinstance(received, list) else [received]:
                target = message.get("target", target)
                if message["type"] in ("done", "error"):
                    return f"{message['type']} {target}"


def when_loaded(stack: LocalStack, name: str) -> httpx.Response:
    """What a pool answers when it has a server, asked without another target until then."""
    until = time.monotonic() + 240
    while True:
        response = asked(stack, f"{name}-alone")
        if response.status_code != 503 or response.json()["error"]["code"] != "model_not_ready":
            return response
        assert response.headers["retry-after"] == "30"
        assert time.monotonic() < until, f"the pool {name} was not woken"


def test_asleep_another_target_answers_and_awake_the_traffic_returns(stack: LocalStack) -> None:
    cold = asked(stack, "steady")
    assert (cold.headers["x-llm-target"], end(cold)) == (BEDROCK, "done")
    assert by_websocket(stack, "steady") == f"done {BEDROCK}"
    assert end(when_loaded(stack, "steady")) == "done"
    warm = asked(stack, "steady")
    assert (warm.headers["x-llm-target"], end(warm)) == ("steady/steady", "done")
    whole = stack.post("/v1/chat/completions", {"model": "steady", "messages": [{"role": "user", "content": "Hi"}]})
    assert (whole.status_code, whole.headers["x-llm-target"]) == (200, "steady/steady")
    assert by_websocket(stack, "steady-alone") == "done steady/steady"


def test_full_another_target_answers(stack: LocalStack) -> None:
    full = when_loaded(stack, "busy")
    assert (full.status_code, full.json()["error"]["code"]) == (503, "upstream_unavailable")
    other = asked(stack, "busy")
    assert (other.headers["x-llm-target"], end(other)) == (BEDROCK, "done")


def test_killed_no_answer_ends_silently_and_the_next_server_answers(stack: LocalStack) -> None:
    assert end(when_loaded(stack, "dying")) == "done"
    # The second of these kills the server; each that it answers is cut, and one that comes later finds none.
    with ThreadPoolExecutor(3) as callers:
        ends = [end(response) for response in callers.map(lambda _: asked(stack, "dying-alone"), range(3))]
    assert set(ends) <= {"done", "stream_interrupted", "upstream_failed", "model_not_ready"} and "stream_interrupted" in ends
    other = asked(stack, "dying")
    assert (other.headers["x-llm-target"], end(other)) == (BEDROCK, "done")
    assert end(when_loaded(stack, "dying")) == "done"
    assert asked(stack, "dying").headers["x-llm-target"] == "dying/dying"


def test_draining_what_has_begun_is_ended_and_the_rest_goes_elsewhere(stack: LocalStack) -> None:
    assert end(when_loaded(stack, "leaving")) == "done"  # it drains from this answer on
    other = asked(stack, "leaving")
    assert (other.headers["x-llm-target"], end(other)) == (BEDROCK, "done")
    assert end(when_loaded(stack, "leaving")) == "done"  # of the next server


def test_a_fault_of_a_pool_is_of_a_pool() -> None:
    code, said = failed_start("--fault", "bedrock=killed", directory=PROGRAM)
    assert code == 1
    assert "--fault: killed is for providers with a wake_queue; the stack has busy, dying, leaving, steady" in said
