"""Faults: what goes wrong on purpose in the upstreams of a local run, how often, and within an answer."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast, get_args

from pulumi_llm_local.upstreams.model import Finish, GenerationRequest, LanguageModel, Piece, UpstreamError

_log = logging.getLogger(__name__)

# Each upstream reports these in its provider's own words. The first seven refuse the request or end the answer with a
# reason; slow to stream-error happen within an answer; malformed and html are answers that no client can read. The last
# three are a pool's.
FaultKind = Literal[
    "throttle",
    "not-ready",
    "500",
    "503",
    "bad-key",
    "context",
    "refuse",
    "slow",
    "stall",
    "cut-stream",
    "stream-error",
    "malformed",
    "html",
    "full",
    "killed",
    "draining",
]
# What befalls a server of a pool: it takes no more requests, is killed within an answer, or is told to end.
POOL_FAULTS: tuple[FaultKind, ...] = ("full", "killed", "draining")


@dataclass(frozen=True)
class Fault:
    """A fault of one upstream, or of all.

    Attributes:
        kind: What goes wrong.
        rate: The share of the valid requests that fail (0 to 1), spread evenly: 0.3 is 3 of every 10.
        upstream: The name of the upstream that fails; empty: each of them.
    """

    kind: FaultKind
    rate: float = 1.0
    upstream: str = ""


def parse_fault(text: str) -> Fault:
    """Read [UPSTREAM=]KIND[:RATE]. The caller checks that the upstream exists.

    Raises:
        ValueError: The text has another form.
    """
    upstream, equals, rest = text.rpartition("=")
    kind, colon, rate_text = rest.partition(":")
    kinds = get_args(FaultKind)
    if equals and _NAME.fullmatch(upstream) is None:
        raise ValueError(f"{text!r}: before '=' stands the name of an upstream, as in bedrock=throttle, not {upstream!r}")
    if kind not in kinds:
        raise ValueError(f"{text!r}: there is no fault {kind!r}; choose one of {', '.join(kinds)}")
    try:
        rate = float(rate_text) if colon else 1.0
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r}: a fault's rate is a number from 0 to 1, as in {kind}:0.3")
    return Fault(cast(FaultKind, kind), rate, upstream)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class FaultSchedule:
    """Decides which requests to one upstream fail, and how.

    Each fault's rate is added up, request by request, until a whole failure is due. If several faults are due at once, one of
    them happens now and the others with the next requests.
    """

    def __init__(self, faults: Sequence[Fault], upstream: str) -> None:
        self._faults = [fault for fault in faults if fault.upstream in ("", upstream)]
        self._due = [Fraction(0) for _ in self._faults]

    def next(self) -> FaultKind | None:
        """Return the fault of the next request; None: it does not fail."""
        if not self._faults:
            return None
        for index, fault in enumerate(self._faults):
            self._due[index] += Fraction(str(fault.rate))
        most = max(range(len(self._due)), key=self._due.__getitem__)
        if self._due[most] < 1:
            return None
        self._due[most] -= 1
        return self._faults[most].kind


# Faults within an answer.

SLOW_FIRST_PIECE_S = 3.0
SLOW_PIECE_S = 0.2
_PIECES_BEFORE_FAULT = 3


class CutStream(Exception):
    """The fault cut-stream: the server closes the connection now."""


class MalformedAnswer(Exception):
    """The fault malformed: the server sends something that no client can read, and ends the answer."""


async def generate(model: LanguageModel, request: GenerationRequest, fault: FaultKind | None) -> AsyncGenerator[Piece, None]:
    """Yield the model's pieces, with the fault applied: slow, stall, cut-stream, stream-error, malformed or refuse.

    Refuse ends the answer early, with the stop reason content_filtered. Other faults change nothing here.

    Raises:
        UpstreamError: From the model, or by the fault stream-error. Any other exception of the model becomes one of status 500.
    """
    pieces = model.generate(request)
    count = 0
    refused = False
    try:
        async for piece in pieces:
            if fault == "slow":
                await asyncio.sleep(SLOW_PIECE_S if count else SLOW_FIRST_PIECE_S)
            elif fault is not None and (count == _PIECES_BEFORE_FAULT or isinstance(piece, Finish)):
                refused = fault == "refuse"
                await _fail_midway(fault)
            if isinstance(piece, Finish):
                yield Finish("content_filtered", piece.input_tokens, count) if refused else piece
                return
            if not refused:  # the rest of a refused answer is read only for the number of input tokens at its end
                count += 1
                yield piece
        raise RuntimeError("the model ended without a Finish")
    except (UpstreamError, CutStream, MalformedAnswer):
        raise
    except Exception as error:
        _log.exception("the model failed")
        raise UpstreamError(500, "The model failed.") from error
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _fail_midway(fault: FaultKind) -> None:
    match fault:
        case "stall":
            await asyncio.get_running_loop().create_future()
        case "cut-stream" | "killed":
            raise CutStream
        case "malformed":
            raise MalformedAnswer
        case "stream-error":
            raise UpstreamError(424, "The model failed while it was answering (injected fault).")
        case _:
            return
