"""A conversation's own rules."""

from typing import Any

import msgspec
import pytest

from llm_gateway.request import Message, ToolUse
from llm_gateway.stages.validate import conversation_problems
from support.chat_requests import user


def said(text: str = "Yes", *calls: str) -> Message:
    return Message("assistant", text, tuple(ToolUse(identifier, "t", {}) for identifier in calls))


def result(identifier: str) -> Message:
    return Message("tool", "1", (), identifier)


CONVERSATIONS: dict[str, tuple[tuple[Message, ...], list[str]]] = {
    "a message": ((user(),), []),
    "turns": ((user(), said(), user()), []),
    "two of the user's": ((user(), user()), []),
    "a call and its result": ((user(), said("", "a"), result("a")), []),
    "two calls, their results in any order": ((user(), said("", "a", "b"), result("b"), result("a"), user()), []),
    "a call in each of two turns": ((user(), said("", "a"), result("a"), said("", "a"), result("a")), []),
    "nothing": ((), ["messages"]),
    "the assistant first": ((said(), user()), []),
    "the assistant last": ((user(), said()), []),
    "only the assistant": ((said(),), []),
    "a result first": ((result("a"),), ["messages[0].tool_call_id"]),
    "a result of no call": ((user(), result("a")), ["messages[1].tool_call_id"]),
    "a result twice": ((user(), said("", "a"), result("a"), result("a")), ["messages[3].tool_call_id"]),
    "a result too late": ((user(), said("", "a"), user(), result("a")), ["messages[2]", "messages[3].tool_call_id"]),
    "one result is missing": ((user(), said("", "a", "b"), result("a")), ["messages[2]"]),
    "no result": ((user(), said("", "a"), said(), user()), ["messages[2]"]),
    "calls last": ((user(), said("", "a")), ["messages[1]"]),
    "empty": ((user(" \n"),), ["messages[0].content"]),
    "all empty": ((user(""), said("")), ["messages[1].content"]),
    "an empty answer": ((user(), said(""), user()), []),
    "an empty result": ((user(), said("", "a"), Message("tool", "", (), "a")), []),
}


@pytest.mark.parametrize(("messages", "fields"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_conversations(messages: Any, fields: list[str]) -> None:
    placed = [msgspec.structs.replace(message, place=f"messages[{place}]") for place, message in enumerate(messages)]
    assert [problem.field for problem in conversation_problems(placed)] == fields
