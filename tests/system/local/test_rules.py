"""The rules of callers over the whole local run: REST, streams and WebSockets are held to them alike."""

import json

import httpx
import pytest

from system.local.conftest import local_stack
from system.local.test_websocket import ask, connected, messages_until_end

pytestmark = pytest.mark.timeout(300)

SETTINGS = {
    "models": ["claude-haiku-5-5", "gpt-oss-20b"],
    "api.rules": [
        {"name": "home", "regions": ["us-east-1"], "models": ["gpt-oss-20b"]},
        {"name": "short", "keys": ["default"], "max_tokens": 20},
        {"name": "private", "tenants": ["default"], "retention": "none"},
    ],
}


async def test_a_caller_is_held_to_the_rules_on_every_transport() -> None:
    config = [part for name, value in SETTINGS.items() for part in ("--config", f"{name}={json.dumps(value)}")]
    with local_stack(*config) as stack:
        async with httpx.AsyncClient(base_url=stack.url, timeout=120, headers={"x-api-key": stack.key}) as client:
            assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["gpt-oss-20b"]
            for path in ("/chat", "/chat/stream"):
                answers = [
                    await client.post(path, json={"message": "Hi", **more})
                    for more in ({"max_tokens": 20}, {"max_tokens": 21}, {"max_tokens": 20, "model": "claude-haiku-5-5"})
                ]
                assert [answer.status_code for answer in answers] == [200, 403, 403]
                codes = [answer.json()["error"] for answer in answers[1:]]
                assert [(error["code"], error["param"]) for error in codes] == [
                    ("denied_by_rule", "max_tokens"),
                    ("denied_by_rule", "model"),
                ]
                assert "the rule 'short' allows max_tokens of at most 20, not 21" in codes[0]["message"]
        async with connected(stack) as client:
            await ask(client, action="chat", id="one", message="Hi", max_tokens=20)
            assert (await messages_until_end(client))[-1]["type"] == "done"
            await ask(client, action="chat", id="two", message="Hi", max_tokens=21)
            (refused,) = await messages_until_end(client)
        assert (refused["type"], refused["error"]["code"]) == ("error", "denied_by_rule")
        async with connected(stack) as client:
            await ask(client, action="resume", id="one", seq=1)
            (gone,) = await messages_until_end(client)
        assert gone["error"]["code"] == "generation_not_kept"
