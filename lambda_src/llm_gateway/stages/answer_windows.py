"""The answer of a stream, in windows: no text leaves before a guardrail has passed the window in which it stands.

What has come is held back. When a window is full, or its time is over, all that is held is checked at once, and all but its end
is passed on. The end is checked again with the next window, so that what stands across two windows is seen. What was passed on
stands. A tool call is held until the answer is complete: no client can use a part of its arguments, and only whole ones can be
read as JSON, in which words may be hidden by escapes.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, cast

import msgspec

from llm_gateway.events import (
    Delta,
    Done,
    Event,
    Logprobs,
    Reasoning,
    ReasoningSignature,
    ToolCall,
    ToolCallDelta,
)
from llm_gateway.request_texts import with_json_texts

# The characters at the end of a window that are checked again with the next one. An email address has some 30, a sentence 100.
_OVERLAP = 100
# The characters of a long delta: most have some five.
_LONG_DELTA = 64
# The most characters that are held because what was found in them may go on. They are checked, and paid for, with each window.
_MOST_HELD = 3_000

# Returns what may be passed on in the place of each text. Raises the error of a policy that blocks one.
Check = Callable[[Sequence[str]], Awaitable[Sequence[str]]]

_Channel = Literal["text", "refusal", "reasoning"]


class _Run:
    """Text of one channel that stands together. `tokens` are log probabilities, with the length of text that they belong to."""

    def __init__(self, channel: _Channel) -> None:
        self.channel: _Channel = channel
        self.parts: list[str] = []
        self.length = 0
        self.tokens: list[tuple[int, Logprobs]] = []
        self.masked = False

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)

    def text(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    def keep(self, text: str, taken: int) -> list[Logprobs]:
        """Keep the end of the text, of which so many characters were taken. Returns the log probabilities of those."""
        ready = [tokens for end, tokens in self.tokens if end <= taken]
        self.tokens = [(end - taken, tokens) for end, tokens in self.tokens if end > taken]
        self.parts, self.length = [text], len(text)
        return ready


class Windows:
    """What is held of one answer. `characters` is the size of a window; 0: everything is held until the end."""

    def __init__(self, check: Check, characters: int) -> None:
        self._check = check
        self._characters = characters
        self._held: list[_Run | Event] = []
        self._size = 0
        self._fresh = 0  # characters that have not been checked at all
        self._calls: dict[int, list[str]] = {}
        self._has_call = False
        self.is_complete = False

    @property
    def holds_text(self) -> bool:
        """Whether there is text that a check now could pass on."""
        return bool(self._characters and self._fresh) and self._size > _OVERLAP and not self._has_call

    @property
    def is_full(self) -> bool:
        # AWS charges for each 1,000 characters that have begun, so the next delta must not pass the bound.
        room = min(_LONG_DELTA, self._characters // 10)
        return self.is_complete or (self.holds_text and self._fresh >= self._characters - _OVERLAP - room)

    def add(self, batch: Sequence[Event]) -> None:
        """Hold the events of a batch."""
        for event in batch:
            match event:
                case Delta(text=text, refusal=refusal):
                    self._add("refusal" if refusal else "text", text)
                case Reasoning(text=text):
                    self._add("reasoning", text)
                case Logprobs():
                    run = self._held[-1] if self._held else None
                    if isinstance(run, _Run):
                        run.tokens.append((run.length, event))
                    else:
                        self._held.append(event)
                case ToolCallDelta(index=index, arguments=arguments):
                    self._calls.setdefault(index, []).append(arguments)
                case _:
                    self._has_call = self._has_call or isinstance(event, ToolCall)
                    self.is_complete = self.is_complete or isinstance(event, Done)
                    self._held.append(event)

    def _add(self, channel: _Channel, text: str) -> None:
        last = self._held[-1] if self._held else None
        if not isinstance(last, _Run) or last.channel != channel:
            last = _Run(channel)
            self._held.append(last)
        last.add(text)
        self._size += len(text)
        self._fresh += len(text)

    async def passed(self) -> list[Event]:
        """Check all that is held, and return what may leave. Raises the error of a policy that blocks it."""
        runs = [each for each in self._held if isinstance(each, _Run)]
        texts = [run.text() for run in runs]
        arguments = {index: "".join(parts) for index, parts in self._calls.items()}
        values = {index: _decoded(text) for index, text in arguments.items()}
        of_calls: dict[str, str] = {}
        for value in values.values():
            with_json_texts(value, lambda text: of_calls.setdefault(text, text))
        asked = [*dict.fromkeys((*texts, *of_calls))]
        said = [text for text in asked if text and not text.isspace()]
        masked = dict(zip(said, await self._check(said), strict=True)) if said else {}
        events: list[Event] = []
        held, self._held = self._held, []
        for position, item in enumerate(held):
            if not isinstance(item, _Run):
                events += self._event(item, held[:position], arguments, values, masked)
                continue
            text = item.text()
            is_open = not self.is_complete and position == len(held) - 1
            events += self._of_run(item, masked.get(text, text), is_open=is_open)
        self._fresh = 0
        self._size = sum(run.length for run in self._held if isinstance(run, _Run))
        return events

    def _of_run(self, run: _Run, masked: str, *, is_open: bool) -> list[Event]:
        text = run.text()
        run.masked = run.masked or masked != text
        if is_open:
            leaves, kept = _divided(text, masked)
            self._held.append(run)
        else:
            leaves, kept = masked, ""
        tokens = run.keep(kept, len(text) - len(kept))
        if not leaves:
            return []
        event = Reasoning(leaves) if run.channel == "reasoning" else Delta(leaves, refusal=run.channel == "refusal")
        # Those of a text that was masked would tell it.
        return [event] if run.masked else [event, *tokens]

    def _event(
        self,
        event: Event,
        before: "Sequence[_Run | Event]",
        arguments: dict[int, str],
        values: dict[int, object],
        masked: dict[str, str],
    ) -> list[Event]:
        match event:
            case ToolCall(index=index) if index in arguments:
                value = with_json_texts(values[index], lambda text: masked.get(text, text))
                if value is values[index]:
                    return [event, ToolCallDelta(index, arguments[index])]
                text = str(value) if isinstance(values[index], _Unread) else msgspec.json.encode(value).decode()
                return [event, ToolCallDelta(index, text)]
            case Logprobs() if any(text != other for text, other in masked.items()):
                return []  # they would tell what was masked
            case ReasoningSignature(data="") if any(isinstance(each, _Run) and each.masked for each in before[-1:]):
                return []  # its provider would refuse it with another text
            case _:
                return [event]


class _Unread(str):
    """Arguments that are no JSON, such as those that the bound of an answer has cut."""

    __slots__ = ()


def _decoded(arguments: str) -> object:
    try:
        return cast("object", msgspec.json.decode(arguments))
    except (msgspec.DecodeError, UnicodeError):
        return _Unread(arguments)


def _divided(text: str, masked: str) -> tuple[str, str]:
    """Return what may leave of a text that may go on, and what of it is kept and checked again.

    What was masked at the end may go on, so it is kept until other text stands after it.
    """
    if text == masked:
        cut = max(0, len(text) - _OVERLAP)
        return text[:cut], text[cut:]
    shorter = min(len(text), len(masked))
    start = next((at for at in range(shorter) if text[at] != masked[at]), shorter)
    end = next((at for at in range(shorter - start) if text[-1 - at] != masked[-1 - at]), shorter - start)
    if end >= _OVERLAP:
        return masked[: len(masked) - _OVERLAP], text[len(text) - _OVERLAP :]
    if len(text) >= _MOST_HELD:
        return masked[: len(masked) - end], text[len(text) - end :]
    return text[:start], text[start:]
