"""Requests for embeddings: what a caller asks for, and the call of one target that is made from it."""

from typing import ClassVar

import msgspec

from llm_gateway.errors import Problem, invalid_request
from llm_gateway.events import Vector
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.request import Kind
from llm_gateway.routes import Alias, Target

# What vectors are for. Cohere's models need it, and their vectors of a query differ from those of a document.
# https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")


class Part(msgspec.Struct, frozen=True):
    """The vectors of some texts of a call, and their tokens as the provider counted them, None if it did not."""

    vectors: list[Vector]
    tokens: int | None


class EmbeddingCall(msgspec.Struct, frozen=True):
    """One call of one target.

    `base64` is how the caller wants the vectors, and so how it is asked for them where the provider offers both. `deadline` is
    a time of the running loop's clock. `finished` holds the parts that a provider with small requests has answered, by the
    place of their first text: the router makes a call that failed again, and it goes on where it failed. `dropped` names what
    the target does not know.
    """

    target: Target
    texts: tuple[str, ...]
    dimensions: int | None
    input_type: str | None
    user: str | None
    base64: bool
    deadline: float
    stall_seconds: float
    caller: Caller
    finished: dict[int, Part]
    dropped: tuple[str, ...] = ()
    stream: ClassVar[bool] = False


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """What a caller asks for: a vector of each text.

    `model` is an alias, empty for the first one. `dimensions` is the length of the vectors, None for the model's own.
    `alone`: the caller gave one text and no list, for the places in errors. A target that does not know `input_type` or `user`
    answers as well without them.
    """

    kind: ClassVar[Kind] = "embedding"
    stream: ClassVar[bool] = False

    texts: tuple[str, ...]
    model: str = ""
    dimensions: int | None = None
    input_type: str | None = None
    user: str | None = None
    base64: bool = False
    alone: bool = False

    def call(self, alias: Alias, target: Target, deadline: float, caller: Caller = ANONYMOUS) -> EmbeddingCall:
        """Return the call of `target`, one of `alias`. Raises the error 400, which names what the target does not take."""
        problems = self._problems(alias, target)
        if problems:
            raise invalid_request(problems)
        return EmbeddingCall(
            target=target,
            texts=self.texts,
            dimensions=self.dimensions,
            input_type=self.input_type if "input_type" in target.accepts else None,
            user=self.user if "user" in target.accepts else None,
            base64=self.base64,
            deadline=deadline,
            stall_seconds=alias.stall_seconds,
            caller=caller,
            finished={},
            dropped=tuple(name for name in ("input_type", "user") if getattr(self, name) and name not in target.accepts),
        )

    def _problems(self, alias: Alias, target: Target) -> list[Problem]:
        problems: list[Problem] = []
        if self.dimensions is not None:
            if "dimensions" not in target.accepts:
                own = f", its vectors have {target.dimensions[0]}" if target.dimensions else ""
                if target.dimensions != (self.dimensions,):
                    problems.append(Problem("dimensions", f"{alias.name} does not take it{own}; leave it out"))
            elif target.dimensions and self.dimensions not in target.dimensions:
                possible = ", ".join(map(str, sorted(target.dimensions)))
                problems.append(Problem("dimensions", f"{alias.name} takes {possible}, not {self.dimensions}"))
        most = target.text_characters
        if most is not None:
            for index, text in enumerate(self.texts):
                if len(text) > most:
                    place = "input" if self.alone else f"input[{index}]"
                    reason = f"{alias.name} takes at most {most:,} characters a text, not {len(text):,}; split it"
                    problems.append(Problem(place, reason))
        return problems
