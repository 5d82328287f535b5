"""Stop sequences where a target has none of its own, or fewer: the gateway ends the answer before the first of them."""

from collections.abc import AsyncGenerator

from llm_gateway.call import ModelCall
from llm_gateway.estimate import usage_so_far
from llm_gateway.events import Delta, Done, Event, Logprobs, Reasoning, ToolCallDelta, Usage
from llm_gateway.rewriting import beginning


async def cut(batches: AsyncGenerator[list[Event], None], call: ModelCall) -> AsyncGenerator[list[Event], None]:
    """Yield an answer's events up to the first sequence of `call.cut` in its text.

    Text that may be the beginning of a sequence is held back. A sequence ends the call of the model. Its usage is an estimate
    then, unless it has come already.
    """
    cutter = _Cutter(call)
    try:
        async for batch in batches:
            if events := cutter.read(batch):
                yield events
            if cutter.done:
                return
    finally:
        await batches.aclose()


class _Cutter:
    def __init__(self, call: ModelCall) -> None:
        self.done = False
        self._call = call
        self._held = ""
        self._held_logprobs: list[Event] = []  # of the text that is held, and of what came with it
        self._characters = 0  # of what the model has written besides its reasoning
        self._reasoning_characters = 0

    def read(self, batch: list[Event]) -> list[Event]:
        events: list[Event] = []
        for event in batch:
            match event:
                case Delta(text=text):
                    self._characters += len(text)
                    text = self._held + text
                    found = self._first_sequence(text)
                    if found is not None:
                        end, sequence = found
                        return [*events, *_delta(text[:end]), self._usage(batch), self._end(sequence)]
                    kept = len(text) - beginning(text, self._call.cut)
                    self._held = text[kept:]
                    events += _delta(text[:kept])
                    if not self._held:
                        events += self._released_logprobs()
                    continue
                case Logprobs():
                    (self._held_logprobs if self._held else events).append(event)
                    continue
                case Reasoning(text=text):
                    self._reasoning_characters += len(text)
                case ToolCallDelta(arguments=text):
                    self._characters += len(text)
                case _:
                    pass
            events += [*_delta(self._held), *self._released_logprobs()]
            self._held = ""
            events.append(event)
        return events

    def _released_logprobs(self) -> list[Event]:
        released, self._held_logprobs = self._held_logprobs, []
        return released

    def _first_sequence(self, text: str) -> tuple[int, str] | None:
        """Return where the first sequence begins in a text, and which it is."""
        return min(((place, sequence) for sequence in self._call.cut if (place := text.find(sequence)) >= 0), default=None)

    def _usage(self, batch: list[Event]) -> Usage:
        for event in batch:
            if isinstance(event, Usage):
                return event
        return usage_so_far(self._call, self._characters, self._reasoning_characters)

    def _end(self, sequence: str) -> Done:
        self.done = True
        return Done("stop_sequence", sequence)


def _delta(text: str) -> list[Event]:
    return [Delta(text)] if text else []
