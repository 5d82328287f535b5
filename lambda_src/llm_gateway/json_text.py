"""Takes the JSON object out of a text: models put it into a block of code, or words before and after it."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from llm_gateway import errors
from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Logprobs, ToolCall
from llm_gateway.json_schema import text_violation
from llm_gateway.rewriting import before_usage, rewritten

# The reasons after which an answer is not complete.
CUT = ("max_tokens", "context_window_exceeded", "content_filtered")


def object_in_text(batches: AsyncGenerator[list[Event], None], call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events with the first JSON object in its text as its text.

    The object is passed on as it comes; it goes on with an answer that the caller has begun, where the target does. The text of
    an answer that is cut before the object begins is passed on. Raises the error 502 for an answer that is complete and has
    neither an object nor a call of a tool, or whose object is no JSON or does not follow `call.checked_schema`.
    """
    return rewritten(batches, _Reader(call).read)


def first_object(text: str) -> str:
    """Return the first JSON object in a text, from where it seems to begin; empty if none does."""
    finder = _Finder()
    return finder.add(text)


class _Reader:
    def __init__(self, call: ModelCall) -> None:
        self._schema = call.checked_schema
        self._finder = _Finder()
        self._parts: list[str] = []  # of the object, with what of it the caller has begun
        last = call.messages[-1]
        begun = last.text if last.role == "assistant" and "prefill" in call.target.accepts else ""
        if begun:
            self._parts.append(self._finder.add(begun))
        self._passed = len(begun)  # where in the text the part begins that the caller does not have
        self._place = len(begun)  # where in the text the next token of log probabilities begins
        self._tokens: list[dict[str, Any]] = []  # with log probabilities, while it is not known whether they are of the object
        self._before: list[str] = []  # the text, until the object begins
        self._called = False

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case Delta(text=text):
                    self._add(text, events)
                case Logprobs(tokens=tokens):
                    self._tokens += tokens
                    events += self._logprobs_of_object()
                case ToolCall():
                    self._called = True
                    events.append(event)
                case Done(stop_reason=reason):
                    place = before_usage(events)
                    events[place:place] = self._end(reason)
                    events.append(event)
                case _:
                    events.append(event)
        return events

    def _add(self, text: str, events: list[Event]) -> None:
        found = self._finder.add(text)
        start = self._finder.start
        if start is None:
            self._before.append(text)
        if start is None or not found:
            return
        self._parts.append(found)
        end = start + self._finder.length
        if new := found[max(len(found) - (end - self._passed), 0) :]:
            events.append(Delta(new))
        self._passed = end

    def _logprobs_of_object(self) -> list[Event]:
        """Return the log probabilities that have come, without those of the text before and after the object."""
        start = self._finder.start
        if start is None:
            return []
        kept: list[dict[str, Any]] = []
        for token in self._tokens:
            begin = self._place
            self._place += len(str(token.get("token")))
            if self._place > start and not (self._finder.ended and begin >= start + self._finder.length):
                kept.append(token)
        self._tokens = []
        return [Logprobs(kept)] if kept else []

    def _end(self, reason: str) -> list[Event]:
        """Return what is left at the end of the answer. Raises the error 502 for one that is complete and is no JSON object."""
        if self._finder.start is None:
            if reason in CUT:
                text = "".join(self._before)
                return [*([Delta(text)] if text else []), *([Logprobs(self._tokens)] if self._tokens else [])]
            if not self._called:
                check("", None)
            return []
        # The caller's own stop sequence may end the object.
        if reason not in CUT and not self._called and (self._finder.ended or reason != "stop_sequence"):
            check("".join(self._parts), self._schema)
        return self._logprobs_of_object()


def check(text: str, schema: dict[str, Any] | None) -> None:
    """Raise the error 502 for the text of an answer's object that is empty, no JSON, or against a schema."""
    try:
        msgspec.json.decode(text, type=dict)
    except (msgspec.DecodeError, RecursionError):
        found = "that of the answer is not valid" if text else "the answer has none"
        raise errors.invalid_output(reason=f"a JSON object was asked for, and {found}") from None
    if schema is not None and (problem := text_violation(schema, text)):
        raise errors.invalid_output(reason=problem)


_SPACE = " \t\r\n"
# Where an object or a list of lists, objects or texts begins, other than a brace or a bracket of words.
_START = re.compile(rf'\{{[{_SPACE}]*["}}]|\[[{_SPACE}]*["\[{{]')
_OUTSIDE_STRINGS = re.compile(r'["{}]')
_WITHIN_A_STRING = re.compile(r'["\\]')


class _Finder:
    """Finds the first JSON object in a text that comes in parts.

    `start` is its place in the text, None before it begins; `length` are the characters of it that have come. A text that is a
    list has no object.
    """

    def __init__(self) -> None:
        self.start: int | None = None
        self.length = 0
        self.ended = False
        self._is_list = False
        self._read = 0  # the characters that were read
        self._held: list[str] = []  # a brace or a bracket with which it may begin, and the white space after it
        self._depth = 0
        self._in_string = False
        self._escaped = False  # the next character is

    def add(self, text: str) -> str:
        """Return what of the object has come with a part of the text."""
        if self.ended or self._is_list:
            return ""
        if self.start is None:
            self._read += len(text)
            text = self._beginning(text)
            if not text:
                return ""
            self.start = self._read - len(text)
        end = self._end(text)
        if end is not None:
            self.ended = True
            text = text[:end]
        self.length += len(text)
        return text

    def _beginning(self, text: str) -> str:
        """Return the text from the object's beginning; empty if it has not begun."""
        if self._held and not text.strip(_SPACE):
            self._held.append(text)
            return ""
        text = "".join(self._held) + text
        found = _START.search(text)
        if found is None:
            said = text.rstrip(_SPACE)
            self._held = [text[len(said) - 1 :]] if said.endswith(("{", "[")) else []
            return ""
        self._held = []
        if found[0].startswith("["):
            self._is_list = True
            return ""
        return text[found.start() :]

    def _end(self, text: str) -> int | None:
        """Return where the object ends in a part of it; None if it goes on."""
        place = 0
        if self._escaped and text:
            place, self._escaped = 1, False
        while found := (_WITHIN_A_STRING if self._in_string else _OUTSIDE_STRINGS).search(text, place):
            place = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = place == len(text)
                    place += 1
                case "{":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if not self._depth:
                        return place
        return None
