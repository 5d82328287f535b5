"""prod on this machine, through what stands in for CloudFront and WAF."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from support.programs import PAGE
from system.local.conftest import LocalStack, events, local_stack

RATE_LIMIT = 40


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    settings = (f'frontend.folder="{PAGE}"', f"frontend.waf.rate_limit={RATE_LIMIT}")
    with local_stack(
        "--stack", "prod", "--model-delay", "0", *(part for each in settings for part in ("--config", each))
    ) as running:
        yield running


@pytest.fixture
def cdn(stack: LocalStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.outputs["frontend_url"], timeout=60) as client:
        yield client


# A path -> the status, the type, and the headers that come with it.
FILES: dict[str, tuple[str, int, str, dict[str, str]]] = {
    "the page": ("/", 200, "text/html; charset=utf-8", {"cache-control": "no-cache", "x-frame-options": "DENY"}),
    "a path of the page's own": ("/history", 200, "text/html; charset=utf-8", {"referrer-policy": "no-referrer"}),
    "its configuration": ("/config.json", 200, "application/json", {"cache-control": "no-cache"}),
    "no file": ("/none.js", 404, "application/xml", {"x-cache": "Error from cloudfront"}),
    "an unknown route": ("/api/none", 404, "application/json; charset=utf-8", {"x-frame-options": "SAMEORIGIN"}),
}


@pytest.mark.parametrize(("path", "status", "kind", "headers"), FILES.values(), ids=FILES)
def test_the_page_and_the_api_share_an_address(
    cdn: httpx.Client, path: str, status: int, kind: str, headers: dict[str, str]
) -> None:
    answer = cdn.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    assert {name: answer.headers[name] for name in headers} == headers


def test_the_configuration_is_the_deployed_one(cdn: httpx.Client, stack: LocalStack) -> None:
    config: dict[str, Any] = cdn.get("/config.json").json()
    assert (config["rest_url"], "api_key" in config) == ("/api", False)
    assert stack.url.startswith("http://127.0.0.1:")


def test_a_stream(cdn: httpx.Client, stack: LocalStack) -> None:
    message = {"message": "What is two and two?"}
    assert cdn.post("/api/chat/stream", json=message, headers={"x-api-key": "sk-wrong"}).status_code == 401
    answer = cdn.post("/api/chat/stream", json=message, headers={"x-api-key": stack.key})
    kinds = [kind for _, kind, _ in events(answer.text.split("\n"))]
    assert (kinds[0], kinds[-1]) == ("start", "done")


async def test_a_websocket(stack: LocalStack) -> None:
    url = stack.outputs["frontend_url"].replace("http", "ws", 1) + "/ws"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers={"x-api-key": "sk-wrong"}):
            pass
    assert refused.value.response.status_code == 401
    async with connect(url, additional_headers={"x-api-key": stack.key}) as client, asyncio.timeout(60):
        await client.send(json.dumps({"action": "chat", "id": "one", "message": "Hello"}))
        kinds: list[str] = []
        while not kinds or kinds[-1] not in ("done", "error"):
            received = json.loads(await client.recv())
            kinds += [message["type"] for message in (received if isinstance(received, list) else [received])]
    assert (kinds[0], kinds[-1]) == ("start", "done")


def test_the_page_reads_the_description_whatever_others_ask_for(cdn: httpx.Client) -> None:
    """The route takes 5 requests a second of all callers together."""
    answers = [cdn.get(f"/api/openapi.json?{n}", headers={"cookie": f"n={n}"}) for n in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-cache"] for answer in answers[1:]} == {"Hit from cloudfront"}
    assert "/chat" in answers[-1].json()["paths"]


def test_each_address_has_its_rate(cdn: httpx.Client, stack: LocalStack) -> None:
    """The last test: from here on, this machine is blocked at the API's own address, and not at the CDN's."""
    deadline = time.monotonic() + 240
    with httpx.Client(timeout=60) as direct:
        count = 0
        # WAF looks every ten seconds. Until then the stage's own throttle may answer, too.
        while (answer := direct.get(f"{stack.url}/health")).headers.get("retry-after") != "300":
            count += 1
            assert time.monotonic() < deadline, f"{count} requests were let through"
            time.sleep(0.1 if count > RATE_LIMIT else 0)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert count >= RATE_LIMIT
    assert cdn.get("/api/health").headers["x-cache"] == "Miss from cloudfront"
