"""What goes wrong on purpose in the local Bedrock, and how often."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast, get_args

from pulumi_llm_local.bedrock_model import BedrockError, ConverseCall, Finish, Model, Piece, internal_error

_log = logging.getLogger(__name__)

FaultKind = Literal["throttle", "not-ready", "500", "503", "slow", "stall", "cut-stream", "stream-error"]

SLOW_FIRST_PIECE_S = 3.0
SLOW_PIECE_S = 0.2
_PIECES_BEFORE_FAULT = 3


@dataclass(frozen=True)
class Fault:
    """`rate` of the requests (0 to 1) fail as `kind` says, spread evenly: 0.3 hits 3 of every 10 valid requests.

    Of several faults that are due at once one is done now and the others with the next requests.
    """

    kind: FaultKind
    rate: float = 1.0


def parse_fault(text: str) -> Fault:
    """Read KIND or KIND:RATE. Raises `ValueError`."""
    kind, colon, rate_text = text.partition(":")
    kinds = get_args(FaultKind)
    if kind not in kinds:
        raise ValueError(f"{text!r}: there is no fault {kind!r}; choose one of {', '.join(kinds)}")
    try:
        rate = float(rate_text) if colon else 1.0
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r}: a fault's rate is a number from 0 to 1, as in {kind}:0.3")
    return Fault(cast(FaultKind, kind), rate)


class FaultSchedule:
    """Which request fails how: each fault's rate is saved up, request by request, until a whole failure is due."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._due = [Fraction(0) for _ in faults]

    def next(self) -> FaultKind | None:
        if not self._faults:
            return None
        for index, fault in enumerate(self._faults):
            self._due[index] += Fraction(str(fault.rate))
        most = max(range(len(self._due)), key=self._due.__getitem__)
        if self._due[most] < 1:
            return None
        self._due[most] -= 1
        return self._faults[most].kind


def refusal(fault: FaultKind | None) -> BedrockError | None:
    """The error of a fault that refuses the request before the model is asked; None for any other."""
    match fault:
        case "throttle":
            return BedrockError(429, "ThrottlingException", "Too many requests, please wait before trying again.")
        case "not-ready":
            message = "Model is not ready for inference. Wait and try your request again."
            return BedrockError(429, "ModelNotReadyException", message)
        case "500":
            return internal_error()
        case "503":
            return BedrockError(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
        case _:
            return None


class Cut(Exception):
    """The fault cut-stream: the connection is to be closed now."""


async def generate(model: Model, call: ConverseCall, fault: FaultKind | None) -> AsyncGenerator[Piece, None]:
    """The model's pieces, with `fault` done to them. A failure that is no `BedrockError` becomes InternalServerException."""
    pieces = model.generate(call)
    count = 0
    try:
        async for piece in pieces:
            if fault == "slow":
                await asyncio.sleep(SLOW_PIECE_S if count else SLOW_FIRST_PIECE_S)
            elif fault is not None and (count == _PIECES_BEFORE_FAULT or isinstance(piece, Finish)):
                await _fail_midway(fault)
            count += 1
            yield piece
            if isinstance(piece, Finish):
                return
        raise RuntimeError("the model ended without a Finish")
    except (BedrockError, Cut):
        raise
    except Exception as error:
        _log.exception("the model failed")
        raise internal_error() from error
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _fail_midway(fault: FaultKind) -> None:
    if fault == "stall":
        await asyncio.get_running_loop().create_future()
    if fault == "cut-stream":
        raise Cut
    if fault == "stream-error":
        raise BedrockError(424, "ModelStreamErrorException", "The model failed while it was answering (injected fault).")
