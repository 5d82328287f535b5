"""System messages between the turns of a conversation. Those before its first turn are the request's system text.

They stay where they are, so that they hold from there on, and so that what stands before them is the same in every request:
prompt caches and Claude's signed thinking depend on it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from llm_gateway.request import Message
from llm_gateway.routes import Target


def after_results(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the messages with those of the system that stand between calls of tools and their results after the results."""
    found: list[Message] = []
    held: list[Message] = []
    open_calls: set[str] = set()
    for message in messages:
        if message.role == "system" and open_calls:
            held.append(message)
            continue
        if message.role == "tool":
            open_calls.discard(message.tool_call_id)
        else:
            found += held
            held = []
            open_calls = {call.id for call in message.tool_calls}
        found.append(message)
        if held and not open_calls:
            found += held
            held = []
    return (*found, *held)


def as_taken(messages: Sequence[Message], target: Target) -> tuple[Message, ...]:
    """Return the messages as a target takes them: a target without system messages gets a marked part of a user's turn.

    It is the next turn, or the one before if that is the user's. A turn of its own stands only between others than the user's:
    some servers' templates refuse two turns of one role.
    """
    if "system_messages" in target.accepts:
        return tuple(messages)
    found: list[Message] = []
    texts: list[str] = []
    for message in messages:
        if message.role == "system":
            texts.append(marked(message.text))
            if message.cache:  # it has to end where the caller's cache point is
                found.append(Message("user", "\n\n".join(texts), place=message.place, cache=True))
                texts = []
        elif texts and message.role == "user":
            found.append(_joined(("\n\n".join(texts),), message, ()))
            texts = []
        else:
            _add(texts, found)
            found.append(message)
    _add(texts, found)
    return tuple(found)


def before_answers(messages: Iterable[Message]) -> list[Message]:
    """Return the messages with those of the system where Claude takes them: after the user, and before the assistant or last.

    One that the user goes on after stands after that turn. One that follows the assistant, and that nothing of the user
    follows, is marked in a user's turn.
    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
    """
    found: list[Message] = []
    held: list[Message] = []
    for message in messages:
        if message.role == "system":
            held.append(message)
            continue
        if message.role == "assistant":
            found += _after_the_user(held, found)
            held = []
        found.append(message)
    return found + _after_the_user(held, found)


def in_last_turn(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """Return the messages with a text of the system, marked, in the user's last turn; before them if the user says nothing."""
    users = [place for place, message in enumerate(messages) if message.role == "user"]
    if not users:
        return (Message("user", marked(text)), *messages)
    last = users[-1]
    return (*messages[:last], _joined((), messages[last], (marked(text),)), *messages[last + 1 :])


def _after_the_user(system: list[Message], found: list[Message]) -> list[Message]:
    if found and found[-1].role != "assistant":
        return system
    return [msgspec.structs.replace(message, role="user", text=marked(message.text)) for message in system]


def marked(text: str) -> str:
    """Return a text of the system as a part of a user's turn, between the tags that Claude Code has for it."""
    return f"<system-reminder>\n{text}\n</system-reminder>"


def _add(texts: list[str], found: list[Message]) -> None:
    if not texts:
        return
    text = "\n\n".join(texts)
    texts.clear()
    if found and found[-1].role == "user" and not found[-1].cache:
        found[-1] = _joined((), found[-1], (text,))
    else:
        found.append(Message("user", text))


def _joined(before: tuple[str, ...], message: Message, after: tuple[str, ...]) -> Message:
    parts = (*before, *message.parts, *after) if message.parts else ()
    text = "\n\n".join(filter(None, (*before, message.text, *after)))
    return msgspec.structs.replace(message, text=text, parts=parts)
