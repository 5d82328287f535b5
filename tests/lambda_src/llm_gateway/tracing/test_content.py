"""Prompts and answers in spans: what their callers have seen, without personal data, in bounded room and time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from llm_gateway.call import ModelCall
from llm_gateway.checked_router import Safety as Checks
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, ToolCall, ToolCallDelta, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.pipeline import answer
from llm_gateway.request import ChatRequest, Message, ToolUse
from llm_gateway.router import Router
from llm_gateway.routes import Routes
from llm_gateway.safety import GuardrailUse, Safety
from llm_gateway.stages.guardrail import Assessment, Finding
from llm_gateway.stages.prompt_filters import TextFilter
from llm_gateway.trace import Tracing
from llm_gateway.tracing.content import MOST_CHARACTERS
from llm_gateway.tracing.spans import Attributes, Span
from llm_gateway.tracing.tracer import Tracer
from support.scripted_provider import alias, said, target

ACCEPTS = ("max_tokens", "temperature", "tools", "stream_tools", "images", "documents")
CARD = "4111 1111 1111 1111"


class Models:
    def __init__(self, *events: Event) -> None:
        self.events = events or (Delta("hello"),)

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        yield [*self.events[:1]]
        yield [*self.events[1:], Usage(1, 1), Done("end_turn")]


class Exported:
    """Keeps spans, and `order` what else happened."""

    def __init__(self, order: list[str] | None = None) -> None:
        self.spans: list[Span] = []
        self.order = order if order is not None else []

    def add(self, spans: Sequence[Span], measurements: Sequence[Any] = ()) -> None:
        self.spans += spans
        self.order.append("exported")


async def described(
    request: ChatRequest, models: Models | None = None, order: list[str] | None = None, **stages: Any
) -> Attributes:
    """Return the attributes of the call's span."""
    exported = Exported(order)
    warnings: list[str] = []
    tracer = Tracer(Tracing("https://otlp.example.com", content=True), exported, {}, warnings.append)  # pyright: ignore[reportArgumentType]
    tracer.begin({}, "POST", "/chat")
    safety = {"safety": stages["safety"]} if "safety" in stages else {}
    gateway = Gateway(
        Routes((alias(target("a", context_tokens=10_000_000, accepts=ACCEPTS)),)),
        Router({"p": models or Models()}),
        **safety,
        ledger=stages.get("ledger"),
        tracer=tracer,
    )
    try:
        async for _ in answer(gateway, request, ANONYMOUS, "r", asyncio.get_running_loop().time() + 30):
            pass
    except GatewayError:
        pass
    assert warnings == []
    return exported.spans[-1].attributes


class Guardrail:
    """Masks a name, or fails."""

    def __init__(self, *, blocks: bool = False) -> None:
        self.blocks = blocks

    async def assess(self, source: str, texts: list[str], deadline: float) -> Assessment:
        finding = Finding("name", "BLOCKED" if self.blocks and source == "OUTPUT" else "ANONYMIZED")
        return Assessment((finding,), tuple(text.replace("Ada", "{NAME}") for text in texts))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_guardrail_masks_in_an_answer_is_masked_in_the_trace(stream: bool) -> None:
    checks = Checks(Safety(guardrail=GuardrailUse()), Guardrail())  # pyright: ignore[reportArgumentType]
    found = await described(said("who?", stream=stream), Models(Delta("It was "), Delta("Ada")), safety=checks)
    (said_,) = json.loads(str(found["gen_ai.output.messages"]))
    assert "".join(part["content"] for part in said_["parts"]) == "It was {NAME}"


async def test_an_answer_that_is_blocked_is_not_in_the_trace() -> None:
    checks = Checks(Safety(guardrail=GuardrailUse()), Guardrail(blocks=True))  # pyright: ignore[reportArgumentType]
    found = await described(said("who?"), Models(Delta("Ada")), safety=checks)
    assert "gen_ai.output.messages" not in found and "Ada" not in str(found)


def tool_call(number: int, **more: Any) -> ToolUse:
    return msgspec.structs.replace(ToolUse(f"call-{number}", "look_up", {}), **more)


def conversation(*messages: Message) -> ChatRequest:
    return msgspec.structs.replace(said("hello"), messages=(*messages, Message("user", "and?")))


def called(*calls: ToolUse) -> list[Message]:
    return [Message("assistant", "", tool_calls=calls), *(Message("tool", "it", tool_call_id=call.id) for call in calls)]


# What is asked, and answered.
LARGE: dict[str, tuple[ChatRequest, Sequence[Event]]] = {
    "many messages": (conversation(*(Message("user" if n % 2 else "assistant", "x" * 390) for n in range(5_000))), ()),
    "many parts": (conversation(Message("user", "", parts=tuple("x" for _ in range(5_000)))), ()),
    "many tool calls": (
        conversation(*called(*(tool_call(n) for n in range(2_000)))),
        [ToolCall(n, "i", "n") for n in range(2_000)],
    ),
    "long ids": (conversation(*called(tool_call(1, id="x" * 100_000))), [ToolCall(0, "x" * 100_000, "n")]),
    "long names": (conversation(*called(tool_call(1, name="x" * 100_000))), [ToolCall(0, "i", "x" * 100_000)]),
    "what JSON escapes": (conversation(Message("user", '\x01"\\' * 20_000)), [Delta('\x01"\\' * 20_000)]),
    "arguments": (
        conversation(*called(tool_call(1, arguments={"a": "\n" * 90_000}))),
        [ToolCall(0, "i", "n"), ToolCallDelta(0, '"' + "\\u0001" * 90_000 + '"')],
    ),
    "what is shorter when it is masked": (
        conversation(*(Message("user" if n % 2 else "assistant", f"{'a' * 64}@{'b' * 60}.com " * 130) for n in range(200))),
        (),
    ),
}


@pytest.mark.parametrize(("request_", "events"), LARGE.values(), ids=LARGE)
async def test_an_attribute_has_bounded_room_and_takes_bounded_time(
    request_: ChatRequest, events: Sequence[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    found_in = TextFilter.found

    def found(self: TextFilter, text: str) -> tuple[str, list[str]]:
        searched.append(len(text))
        return found_in(self, text)

    monkeypatch.setattr(TextFilter, "found", found)
    attributes = await described(request_, Models(*events))
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        assert len(str(attributes[name])) <= MOST_CHARACTERS
        json.loads(str(attributes[name]))
    assert json.loads(str(attributes["gen_ai.input.messages"]))[-1]["parts"] == [{"type": "text", "content": "and?"}]
    assert sum(searched) <= 2 * (MOST_CHARACTERS + 1_000)


async def test_ids_names_and_arguments_of_tools_have_no_personal_data() -> None:
    request = conversation(*called(tool_call(1, id=f"a {CARD}", name=f"b {CARD}", arguments={"note": f"see\n{CARD}"})))
    events = [ToolCall(0, f"c {CARD}", f"d {CARD}"), ToolCallDelta(0, f'{{"a": "\\n{CARD}", "b": "ada\\u0040example.com"}}')]
    attributes = await described(request, Models(*events))
    assert "1111" not in str(attributes) and "example.com" not in str(attributes)


class Ledger:
    """Notes when it settles."""

    rate_limits: ClassVar[dict[str, str]] = {}

    def __init__(self, order: list[str]) -> None:
        self.order = order

    def reservation(self, *_: Any) -> "Ledger":
        return self

    async def admit(self, call: Any) -> None: ...

    async def settle(self, usage: Usage | None) -> None:
        await asyncio.sleep(0)
        self.order.append("settled")


async def test_spans_are_made_when_the_ledger_has_been_settled() -> None:
    order: list[str] = []
    await described(said("hello"), order=order, ledger=Ledger(order))
    assert order == ["settled", "exported"]
