"""A fault done to what a model answers, for every upstream; and Bedrock's words for the faults that refuse a request."""

import asyncio
import logging
from collections.abc import AsyncGenerator

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.model import BedrockError, ConverseCall, Finish, Model, Piece, internal_error, validation_error

_log = logging.getLogger(__name__)

SLOW_FIRST_PIECE_S = 3.0
SLOW_PIECE_S = 0.2
_PIECES_BEFORE_FAULT = 3


def refusal(fault: FaultKind | None) -> BedrockError | None:
    """Bedrock's error of a fault that refuses the request before the model is asked; None for any other."""
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
        case "bad-key":
            return BedrockError(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        case "context":
            return too_long()
        case _:
            return None


def too_long() -> BedrockError:
    return validation_error("Input is too long for requested model.")


class Cut(Exception):
    """The fault cut-stream: the connection is to be closed now."""


class Malformed(Exception):
    """The fault malformed: what comes next is to be no event that a client can read, and the last."""


async def generate(model: Model, call: ConverseCall, fault: FaultKind | None) -> AsyncGenerator[Piece, None]:
    """The model's pieces, with `fault` done to them: slow, stall, cut-stream, stream-error, malformed or refuse.

    Refuse ends the answer in its middle with the stop reason content_filtered. A failure that is no `BedrockError` becomes
    InternalServerException.
    """
    pieces = model.generate(call)
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
            if not refused:  # else what is left says only how many tokens the request had
                count += 1
                yield piece
        raise RuntimeError("the model ended without a Finish")
    except (BedrockError, Cut, Malformed):
        raise
    except Exception as error:
        _log.exception("the model failed")
        raise internal_error() from error
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _fail_midway(fault: FaultKind) -> None:
    match fault:
        case "stall":
            await asyncio.get_running_loop().create_future()
        case "cut-stream":
            raise Cut
        case "malformed":
            raise Malformed
        case "stream-error":
            raise BedrockError(424, "ModelStreamErrorException", "The model failed while it was answering (injected fault).")
        case _:
            return
