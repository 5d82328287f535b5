"""Conversations that stay at one server of a load balancer, by the cookies that it and the server set."""

from typing import Any

import pytest

from llm_gateway.call import ModelCall, model_call
from llm_gateway.identity.caller import Caller
from llm_gateway.providers import stickiness
from llm_gateway.providers.stickiness import Stickiness
from llm_gateway.request import ChatRequest, Message
from llm_gateway.routes import Alias, Endpoint
from support.scripted_provider import target
from wire.callers import CHAT, Transport
from wire.harness import Harness
from wire.provider_responses import TEXT, Vllm
from wire.replying import Reply

COOKIE = "LlmServiceStickiness"


def sets(server: str) -> str:
    """What the server and its Application Load Balancer set, each with its attributes, as the client joins the headers."""
    own = f"{COOKIE}={server}; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax"
    group = "AWSALBTG=group; Expires=Sun, 06 Dec 2026 10:00:00 GMT; Path=/, AWSALBTGCORS=group; SameSite=None; Secure"
    return f"{group}, AWSALBAPP-0=of-{server}; Expires=Sun, 06 Dec 2026 10:00:00 GMT; Path=/, {own}, AWSALBAPP-1=_remove_"


def call(*texts: str, tenant: str = "acme", key: str = "ci", system: str | None = "Be brief") -> ModelCall:
    """A call with these turns, of which every second one is the model's."""
    messages = tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts))
    to = target("a", accepts=("max_tokens", "system"))
    return model_call(ChatRequest(messages, system=system), Alias("main", (to,)), to, 10.0, Caller(tenant, key))


# a call after that of "Hi" -> whether it comes with its cookies
CALLS: dict[str, tuple[ModelCall, bool]] = {
    "the next turn": (call("Hi", "Hello", "How are you?"), True),
    "the next but one": (call("Hi", "Hello", "How are you?", "Well", "Good"), True),
    "the same first turn": (call("Hi"), False),
    "another conversation": (call("Hi!", "Hello", "How are you?"), False),
    "another system prompt": (call("Hi", "Hello", "How are you?", system="Be verbose"), False),
    "another key": (call("Hi", "Hello", "How are you?", key="web"), False),
    "another tenant": (call("Hi", "Hello", "How are you?", tenant="shop"), False),
}


@pytest.mark.parametrize(("later", "comes"), CALLS.values(), ids=CALLS)
def test_whose_cookies_come_back(later: ModelCall, comes: bool) -> None:
    sticky = Stickiness(COOKIE)
    sticky.remember(call("Hi"), sets("pod-1"))
    all_of_them = "AWSALBTG=group; AWSALBAPP-0=of-pod-1; LlmServiceStickiness=pod-1; AWSALBAPP-1=_remove_"
    assert sticky.cookie(later) == (all_of_them if comes else "")


def test_a_new_cookie_replaces_the_old_one() -> None:
    sticky = Stickiness(COOKIE)
    sticky.remember(call("Hi"), sets("pod-1"))
    sticky.remember(call("Hi", "Hello", "And?"), f"{COOKIE}=pod-2")
    assert "LlmServiceStickiness=pod-2" in sticky.cookie(call("Hi", "Hello", "And?"))
    assert "pod-1;" not in sticky.cookie(call("Hi", "Hello", "And?")).partition("LlmServiceStickiness")[2]


def test_cookies_of_others_are_not_kept() -> None:
    sticky = Stickiness(COOKIE)
    sticky.remember(call("Hi"), f"session=1, My{COOKIE}=2, AWSALB=3, AWSALBTGCORS=4; Path=/; {COOKIE}=5")
    assert sticky.cookie(call("Hi", "Hello", "And?")) == ""


def test_as_many_conversations_as_it_says_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stickiness, "MOST_CONVERSATIONS", 3)
    sticky = Stickiness(COOKIE)

    def known() -> str:
        return "".join(name for name in "abcde" if sticky.cookie(call(name, "Hello", "And?")))

    for name in "abc":
        sticky.remember(call(name), sets(name))
    sticky.remember(call("a"), sets("a"))  # it is the latest now
    sticky.remember(call("d"), sets("d"))
    assert known() == "acd"


def test_a_server_sets_few_and_short_cookies() -> None:
    sticky = Stickiness(COOKIE)
    for number in range(50):
        sticky.remember(call("a"), f"AWSALBAPP-{number}=v{number}; Path=/, {COOKIE}={'x' * 5000}")
    assert sticky.cookie(call("a", "Hello", "And?")) == "; ".join(f"AWSALBAPP-{n}=v{n}" for n in range(42, 50))


class Sticky(Vllm):
    endpoint = Endpoint(name="vllm", type="openai_compatible", stickiness_cookie=COOKIE)

    def answer(self, stream: bool) -> Reply:
        cookie = (
            f"\r\nset-cookie: AWSALBAPP-0=abc; Expires=Sun, 06 Dec 2026 10:00:00 GMT\r\nset-cookie: {COOKIE}=pod-1; Path=/\r\n"
        )
        return Reply(super().answer(stream).data.replace(b"\r\n", cookie.encode(), 1))


@pytest.mark.assumes("pool-cookies")
async def test_the_next_turn_of_a_conversation_sends_the_cookies(harness: Harness) -> None:
    pool = await harness.healthy(Sticky())
    service = await harness.gateway(pool)
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": TEXT}]
    turns: list[dict[str, Any]] = [{"message": "Hi"}, {"message": "And?", "history": history}, {"message": "Hi"}]
    for turn in turns:
        assert (await Transport(CHAT.path, turn, stream=False).call(service)).text == TEXT
    assert pool.upstream is not None
    sent = [[line for line in head.split("\r\n") if line.startswith("cookie: ")] for head in pool.upstream.heads]
    assert sent == [[], [f"cookie: AWSALBAPP-0=abc; {COOKIE}=pod-1"], []]
