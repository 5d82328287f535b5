"""A provider without a model, for tests and for deployments that have none. Its answers are deterministic."""

import re
from collections.abc import AsyncGenerator

import msgspec

from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Usage

_WORD = re.compile(r"\s*\S+")


class Mock:
    """Repeats the last message, one word in each delta, in a JSON object where that is asked for.

    A word counts as a token. `max_tokens` and `stop` are observed.
    """

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        said = call.messages[-1].text
        text = msgspec.json.encode({"you_said": said}).decode() if call.object_in_text else f"You said: {said}"
        stops = [at for sequence in call.sampling.stop if (at := text.find(sequence)) >= 0]
        words = _WORD.findall(text[: min(stops)] if stops else text)
        kept = words[: call.sampling.max_tokens]
        for word in kept:
            yield [Delta(word)]
        usage = Usage(input_tokens=sum(len(message.text.split()) for message in call.messages), output_tokens=len(kept))
        yield [usage, Done("max_tokens" if len(kept) < len(words) else "stop_sequence" if stops else "end_turn")]
