"""Stage 1: the rules of a conversation. The API format has checked the types and bounds of fields.

Who speaks first and last, and whether a turn is empty, is no rule: a target is sent what it takes (`llm_gateway.call`,
`llm_gateway.providers.exchange.alternating_turns`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from llm_gateway.errors import MOST_PROBLEMS, Problem, clipped
from llm_gateway.request import Message


def conversation_problems(messages: Sequence[Message]) -> list[Problem]:
    """Return a problem, with the place of the message, for each rule that is broken, up to those that an answer lists.

    No model could answer such a request.
    """
    return list(islice(_problems(messages), MOST_PROBLEMS + 1))


def _problems(messages: Sequence[Message]) -> Iterator[Problem]:
    if not messages:
        yield Problem("messages", "must hold at least one message of the user")
        return
    open_calls: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                reason = f"{clipped(message.tool_call_id)!r} answers no tool call of the assistant message before it"
                yield Problem(f"{message.place}.tool_call_id", reason)
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            yield Problem(message.place, f"the tool calls {_names(open_calls)} have no answer before it")
        open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        yield Problem(messages[-1].place, f"the tool calls {_names(open_calls)} have no answer")
    if all(message.is_empty for message in messages):
        yield Problem(f"{messages[-1].place}.content", "must not be empty")


def _names(calls: Iterable[str]) -> str:
    return clipped(", ".join(sorted(calls)))
