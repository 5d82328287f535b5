"""Signed reasoning goes back to the model that has signed it, and to no other one."""

from typing import Any

import pytest

from llm_gateway.routes import Alias, Endpoint, Routes, Target
from wire import http
from wire.conversations import answers_in_turn, user
from wire.speaker import dumped

ACCEPTS: Any = ("max_tokens", "system", "tools", "reasoning_content")
CLAUDE, OTHER = "claude-opus-4-8", "MiniMax-M2"
FORMATS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


def answer() -> bytes:
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Yes."},
    ]
    usage = {"input_tokens": 1, "output_tokens": 1}
    return http.response(200, dumped({"content": content, "stop_reason": "end_turn", "usage": usage}))


def next_turn(path: str, told: Any) -> dict[str, Any]:
    """What a client sends after an answer in a format."""
    if path == "/v1/responses":
        items = [item for item in told["output"] if item["type"] == "reasoning"]
        said = {"type": "message", "role": "assistant", "content": "Yes."}
        return {"input": [user("Hi"), *items, said, user("And?")]}
    if path == "/v1/messages":
        turn = {"role": "assistant", "content": told["content"]}
        return {"messages": [user("Hi"), turn, user("And?")], "max_tokens": 99}
    return {"messages": [user("Hi"), told["choices"][0]["message"], user("And?")]}


def thinking(body: Any) -> list[str]:
    """The signatures and the encrypted blocks that a provider was sent."""
    blocks = [block for message in body["messages"] for block in message["content"]]
    return [block.get("signature") or block["data"] for block in blocks if block["type"].endswith("thinking")]


@pytest.mark.parametrize("path", FORMATS)
async def test_a_block_of_another_model_is_not_sent(gateway, fake, path: str) -> None:
    upstream = await fake(answers_in_turn(*[answer()] * 9))
    targets = [Target(f"there/{model}", "there", model, 64_000, 200_000, ACCEPTS) for model in (CLAUDE, OTHER)]
    aliases = [Alias(target.model, (target,), retries=0) for target in targets]
    service = await gateway(routes=Routes((*aliases,), (Endpoint("there", "anthropic", base_url=upstream.url),)))
    for signer in (CLAUDE, OTHER):
        begin = {"input": "Hi"} if path == "/v1/responses" else {"messages": [user("Hi")], "max_tokens": 99}
        asked = {"thinking": {"type": "adaptive"}} if path == "/v1/messages" else {}
        told = (await service.post(path, {"model": signer, **begin, **asked})).json()
        for reader in (CLAUDE, OTHER):
            response = await service.post(path, {"model": reader, **next_turn(path, told), **asked})
            assert response.status_code == 200, response.text
            assert thinking(upstream.bodies[-1]) == (["c2ln", "ZGF0YQ=="] if reader == signer else []), (signer, reader)
