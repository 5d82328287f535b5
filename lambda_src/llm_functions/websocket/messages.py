"""The messages of the WebSocket protocol: parsing the client's, rendering the server's. docs/websocket.md describes them."""

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from llm_functions.json_objects import decode_object
from llm_gateway import errors
from llm_gateway.aws.connections import FRAME_BYTES
from llm_gateway.errors import GatewayError, Problem, invalid_request
from llm_gateway.events import Delta, Event, Logprobs, Reasoning, ReasoningSignature

# Bytes of a message besides a text in it: an id of 64 characters, the number and the names of the fields.
_ENVELOPE_BYTES = 256
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_encode = msgspec.json.Encoder().encode


class ClientMessage(msgspec.Struct, frozen=True):
    """A message of a client. `id` is the generation's; `fields` are those besides `action` and `id`."""

    id: str
    fields: dict[str, Any]


def parse(text: bytes | str) -> ClientMessage:
    """Parse a message. Raises the error 400."""
    fields = decode(text)
    given = fields.pop("id", None)
    fields.pop("action", None)
    if not isinstance(given, str) or _ID.fullmatch(given) is None:
        raise invalid_request([Problem("id", "must be 1 to 64 letters, digits, '_' or '-'")])
    return ClientMessage(given, fields)


def decode(text: bytes | str) -> dict[str, Any]:
    """Return the fields of a message. Raises the error 400."""
    try:
        return decode_object(text.encode() if isinstance(text, str) else text)
    except (msgspec.DecodeError, ValueError) as error:
        raise errors.invalid_message(reason=str(error)) from None
    except RecursionError:
        raise errors.invalid_message(reason="it is nested too deeply") from None


def id_of(text: bytes | str) -> str | None:
    """Return the id of a message that may be wrong in every way, so that its error can name it."""
    try:
        return parse(text).id
    except GatewayError:
        return None


def since(message: ClientMessage) -> int:
    """Return the number of the last message that a client has which resumes. Raises the error 400."""
    seq = message.fields.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < 2**53:
        raise invalid_request([Problem("seq", "must be the number of the last message that you have, 0 for none")])
    return seq


def numbered(generation: str, seq: int, data: bytes) -> bytes:
    """Return the message number `seq` of a generation; `data` is a JSON object."""
    return b'{"id":"%s","seq":%d,%s' % (generation.encode(), seq, data[1:])


def waiting(generation: str) -> bytes:
    """Return the sign of life of a generation that has nothing new. It has no number."""
    return b'{"id":"%s","type":"waiting"}' % generation.encode()


def frame(messages: Sequence[bytes], first: int = 0) -> tuple[bytes, int]:
    """Return what one frame takes of `messages` from index `first` on, and the index of the first one that it does not take.

    Several messages are a JSON array. API Gateway throttles and charges messages, whatever stands in them.
    """
    end, size = first + 1, len(messages[first]) + len("[]")
    while end < len(messages) and (size := size + len(messages[end]) + len(",")) <= FRAME_BYTES:
        end += 1
    return (messages[first] if end == first + 1 else b"[%s]" % b",".join(messages[first:end])), end


def ended(generation: str, last: int) -> bytes:
    """Return the answer about a generation that ended with message number `last`, for a client that has all of it."""
    return b'{"id":"%s","type":"ended","last":%d}' % (generation.encode(), last)


def cancelled() -> bytes:
    return b'{"type":"done","stop_reason":"cancelled"}'


def failure(error: GatewayError, request_id: str, *, debug: bool = False) -> bytes:
    """Return the data of an error that ends a generation."""
    return _encode({"type": "error", "error": _error(error, request_id, debug=debug)})


def refusal(generation: str | None, error: GatewayError, request_id: str, *, debug: bool = False) -> bytes:
    """Return the message about another message that is wrong, or about a generation that is not there any more."""
    return _encode({"id": generation, "type": "error", "error": _error(error, request_id, debug=debug)})


def _error(error: GatewayError, request_id: str, *, debug: bool) -> dict[str, str | int]:
    """Return the error's fields, with the seconds to wait that HTTP has in a header."""
    fields: dict[str, str | int] = {**error.body(request_id, debug=debug)["error"]}
    return fields if error.retry_after is None else {**fields, "retry_after": max(1, math.ceil(error.retry_after))}


def coalesced(events: Sequence[Event]) -> list[bytes]:
    """Render events: neighbouring parts of a text as one, and each small enough for a frame of API Gateway."""
    rendered: list[bytes] = []
    kind: type[Delta | Reasoning] | None = None
    texts: list[str] = []

    def close() -> None:
        if kind is not None:
            rendered.extend(_encode(kind(part)) for part in _parts("".join(texts)))

    for event in events:
        if isinstance(event, Delta | Reasoning):
            if type(event) is not kind:
                close()
                kind, texts = type(event), []
            texts.append(event.text)
        elif not isinstance(event, ReasoningSignature | Logprobs):  # a client does not send reasoning back
            close()
            kind = None
            rendered.append(_encode(event))
    close()
    return rendered


def _parts(text: str) -> list[str]:
    """Divide a text so that each part is small enough for a frame when it is JSON."""
    if len(text) * 6 <= FRAME_BYTES - _ENVELOPE_BYTES or len(_encode(text)) <= FRAME_BYTES - _ENVELOPE_BYTES:
        return [text]
    middle = len(text) // 2
    return [*_parts(text[:middle]), *_parts(text[middle:])]
