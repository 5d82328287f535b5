"""The body of a request: a JSON object."""

from typing import Any

import msgspec

from llm_functions.http.caller_watch import Receive
from llm_functions.json_objects import TooManyValues, decode_object
from llm_gateway import errors
from llm_gateway.operations import MAX_BODY_BYTES

_JSON = b"application/json"


async def read_object(headers: dict[bytes, bytes], receive: Receive) -> dict[str, Any]:
    """Read the request's JSON object. Raises the error 400, 413 or 415."""
    if (content_type := headers.get(b"content-type", _JSON)) != _JSON and not _is_json(content_type):
        raise errors.unsupported_media_type(given=errors.clipped(content_type.decode("latin-1")))
    body = await read_bytes(headers, receive)
    if not body or body.isspace():
        raise errors.invalid_json(reason="the body is empty")
    try:
        return decode_object(body)
    except TooManyValues as error:
        raise errors.invalid_json(reason=str(error)) from None
    except msgspec.ValidationError as error:
        if body.lstrip().startswith(b"{"):
            raise errors.invalid_json(reason=f"it cannot be read: {error}") from None
        raise errors.invalid_json(reason='an example is {"message": "Hello"}') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.invalid_json(reason=f"it is not JSON: {error}") from None
    except RecursionError:
        raise errors.invalid_json(reason="it is nested too deeply") from None


async def read_bytes(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """Read the request's body. Raises the error 400 or 413."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise errors.request_too_large(limit=MAX_BODY_BYTES)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.invalid_json(reason="the connection was closed before its end")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise errors.request_too_large(limit=MAX_BODY_BYTES)
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _is_json(content_type: bytes) -> bool:
    """Whether a Content-Type is one of JSON. One that is empty says nothing, as one that is missing.

    A page of any site may post forms and texts without asking first, and JSON only where CORS allows it.
    https://www.rfc-editor.org/rfc/rfc6839#section-3.1 https://fetch.spec.whatwg.org/#cors-safelisted-request-header
    """
    media_type = content_type.partition(b";")[0].strip().lower()
    is_suffixed = media_type.startswith(b"application/") and media_type.endswith(b"+json")
    return is_suffixed or media_type in (_JSON, b"")
