"""Splits off the thinking that open models write into their answer, between tags, where their server does not do it."""

from collections.abc import AsyncGenerator
from enum import Enum, auto
from typing import Any

import msgspec

from llm_gateway.estimate import reasoning_tokens_of
from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, Usage
from llm_gateway.rewriting import before_usage, beginning, rewritten
from llm_gateway.routes import ThinkTags

_OPEN, _CLOSE = "<think>", "</think>"


def without_think_tags(batches: AsyncGenerator[list[Event], None], tags: ThinkTags) -> AsyncGenerator[list[Event], None]:
    """Return an answer's events with what stands between the tags at its beginning as reasoning.

    Text that may be the beginning of a tag is held back, and white space beside the tags is left out. With ``opened``, a
    complete answer without the closing tag is all text, as is that of a model that was told not to think; one that was cut
    is all reasoning, as vLLM's parser for DeepSeek R1 has it. What is already sent as reasoning then comes again as the text.
    """
    return rewritten(batches, _Splitter(opened=tags == "opened").read)


class _Place(Enum):
    BEGINNING = auto()
    THINKING = auto()
    AFTER_THINKING = auto()  # until the text begins
    TEXT = auto()


class _Splitter:
    def __init__(self, *, opened: bool) -> None:
        self._opened = opened
        self._place = _Place.BEGINNING
        self._held: str = ""
        self._thoughts: list[str] = []
        self._tokens: list[
            dict[str, Any]
        ] = []  # with log probabilities, of which it is not known yet whether they are of the text
        self._tokens_of_thinking = ""
        self._tagged = False  # the text begins after a closing tag

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case Delta() if self._place is _Place.TEXT:
                    events.append(event)
                case Delta(text=text):
                    self._add(text, events)
                case Done(stop_reason=reason):
                    place = before_usage(events)
                    usage = events[place:]
                    del events[place:]
                    self._end(events, complete=reason == "end_turn")
                    events += [*map(self._counted, usage), event]
                case Logprobs(tokens=tokens):
                    self._tokens += tokens
                    events += self._logprobs_of_text()
                case Usage():
                    events.append(event)
                case _:  # a call, or reasoning that the server itself has split off
                    self._flush(events)
                    self._place = _Place.TEXT
                    events.append(event)
        return events

    def _counted(self, usage: Event) -> Event:
        """Return the usage with the tokens of the reasoning, which its server takes for text."""
        if not isinstance(usage, Usage) or usage.reasoning_tokens or not self._thoughts:
            return usage
        tokens = reasoning_tokens_of(sum(map(len, self._thoughts)), usage.output_tokens)
        return msgspec.structs.replace(usage, reasoning_tokens=tokens)

    def _add(self, text: str, events: list[Event]) -> None:
        text = self._held + text
        self._held = ""
        if self._place is _Place.BEGINNING:
            begun = text.lstrip()
            if begun.startswith(_OPEN):
                self._place, self._opened, text = _Place.THINKING, False, begun[len(_OPEN) :]
            elif _OPEN.startswith(begun):
                self._held = text
                return
            else:
                self._place = _Place.THINKING if self._opened else _Place.TEXT
            self._tagged = self._place is _Place.THINKING
        if self._place is _Place.THINKING:
            text = self._think(text, events)
        if self._place is _Place.AFTER_THINKING and (text := text.lstrip()):
            self._place = _Place.TEXT
        if text:
            events.append(Delta(text))

    def _think(self, text: str, events: list[Event]) -> str:
        """Add what is reasoning of a text. Return what is not."""
        thought, closing, rest = text.partition(_CLOSE)
        kept = thought.rstrip()
        if closing:
            self._place = _Place.AFTER_THINKING
        else:
            kept = thought[: len(thought) - beginning(thought, (_CLOSE,))].rstrip()
            self._held = thought[len(kept) :]
        self._reason(kept, events)
        return rest

    def _logprobs_of_text(self) -> list[Event]:
        """Return the log probabilities that have come, without those of the thinking."""
        if self._place is _Place.BEGINNING:
            return []
        if self._tagged:
            while self._tokens and _CLOSE not in self._tokens_of_thinking:
                self._tokens_of_thinking += str(self._tokens.pop(0).get("token"))
        tokens, self._tokens = self._tokens, []
        return [Logprobs(tokens)] if tokens else []

    def _reason(self, thought: str, events: list[Event]) -> None:
        if not self._thoughts:
            thought = thought.lstrip()
        if thought:
            events.append(Reasoning(thought))
            self._thoughts.append(thought)

    def _flush(self, events: list[Event]) -> None:
        """Add what was held back."""
        held, self._held = self._held, ""
        if self._place is _Place.THINKING:
            self._reason(held, events)
        elif held:
            events.append(Delta(held))

    def _end(self, events: list[Event], *, complete: bool) -> None:
        self._flush(events)
        if self._place is _Place.THINKING and self._opened and complete:
            events[:] = [event for event in events if not isinstance(event, Reasoning)]
            if text := "".join(self._thoughts):
                events.append(Delta(text))
            self._thoughts.clear()
