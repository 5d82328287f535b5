"""A line of a batch's file, in OpenAI's format: what it asks, and the line of the output or error file that answers it.

https://platform.openai.com/docs/api-reference/batch/request-input
"""

import codecs
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from llm_functions.json_objects import decode_object
from llm_gateway.batches.batch import Batch, digest
from llm_gateway.embeddings import EmbeddingRequest
from llm_gateway.errors import GatewayError, Problem, clipped, invalid_request
from llm_gateway.events import Event, Start
from llm_gateway.request import ChatRequest

METHOD = "POST"
LONGEST_CUSTOM_ID = 512
# As much as a request of the API may have.
LONGEST_LINE = 4 * 1024 * 1024

Render = Callable[[AsyncIterator[list[Event]]], "Any"]
_encode = msgspec.json.Encoder().encode
# What JSON allows in a string, and many a reader of lines takes for the end of one, such as Python's str.splitlines.
_OTHER_LINE_ENDS = [(end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\u2028\u2029\x85"]


class LineProblem(Exception):
    """What is wrong with a line, for which its batch fails. The codes are those that Azure's documentation names.

    https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/batch#common-error-codes
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Line(msgspec.Struct):
    """One line. `body` is JSON, as it came."""

    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw()


class _Sampling(msgspec.Struct):
    temperature: Any = None


_decode_line = msgspec.json.Decoder(Line).decode
_decode_sampling = msgspec.json.Decoder(_Sampling).decode


def read_line(text: bytes, endpoint: str) -> Line:
    """Return what a line says. Raises `LineProblem`."""
    try:
        line = _decode_line(text.removeprefix(codecs.BOM_UTF8))  # which some programs write at the beginning of a file
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise LineProblem("invalid_json_line", "This line is not a JSON object.") from None
    if not isinstance(line.custom_id, str) or not line.custom_id:
        raise LineProblem("invalid_request", "custom_id: is required, a string", "custom_id")
    if len(line.custom_id) > LONGEST_CUSTOM_ID:
        raise LineProblem("invalid_request", f"custom_id: may have at most {LONGEST_CUSTOM_ID} characters", "custom_id")
    if line.method != METHOD:
        raise LineProblem("invalid_request", f"method: must be '{METHOD}', not {_shown(line.method)}", "method")
    if line.url != endpoint:
        raise LineProblem("url_mismatch", f"url: must be that of the batch, {endpoint!r}, not {_shown(line.url)}", "url")
    if not bytes(line.body).lstrip().startswith(b"{"):
        raise LineProblem("invalid_request", "body: is required, an object: the body of the endpoint", "body")
    return line


def has_one_answer(line: Line, endpoint: str) -> bool:
    """Whether an equal body may have the same answer. Else, whoever repeats it may want several samples."""
    try:
        return endpoint == "/v1/embeddings" or _decode_sampling(line.body).temperature == 0
    except msgspec.MsgspecError:
        return False


def parse(endpoint: str, text: msgspec.Raw) -> tuple[ChatRequest | EmbeddingRequest, Render]:
    """Parse a body of an endpoint. Returns the request, and what renders its complete answer.

    Raises the error 400.
    """
    try:
        body = decode_object(bytes(text))
    except (ValueError, RecursionError) as error:  # it is JSON, so it is too much of it
        raise invalid_request([Problem("body", f"{error}")]) from None
    request, render = _parse(endpoint, body)
    if isinstance(request, ChatRequest) and request.stream:
        raise invalid_request([Problem("stream", "must be false: an answer of a batch is complete")])
    return request, render


def _parse(endpoint: str, body: Mapping[str, Any]) -> tuple[ChatRequest | EmbeddingRequest, Render]:
    match endpoint:
        case "/v1/chat/completions":
            from llm_functions.api_formats import openai_chat

            chat, _ = openai_chat.parse(body)
            return chat, lambda events: openai_chat.render_complete(events, logprobs="logprobs" in chat.rare)
        case "/v1/completions":
            from llm_functions.api_formats import openai_completions

            completion, _ = openai_completions.parse(body)
            return completion, openai_completions.render_complete
        case "/v1/responses":
            from llm_functions.api_formats.openai_responses import answer, request

            return request.parse(body), lambda events: answer.render_complete(body, events)
        case "/v1/embeddings":
            from llm_functions.api_formats import openai_embeddings

            embeddings = openai_embeddings.parse(body)
            return embeddings, lambda events: openai_embeddings.render(events, base64=embeddings.base64)
        case _:
            raise ValueError(f"{endpoint}: batches have no such endpoint")


async def rendered(render: Render, events: AsyncIterator[list[Event]]) -> bytes:
    """Return a complete answer as JSON."""
    answer: tuple[Start, bytes] = await render(events)
    return answer[1]


def answered(batch: Batch, number: int, custom_id: str, request_id: str, body: bytes) -> bytes:
    """Return the line of an answer, without its end."""
    return _response(batch, number, custom_id, request_id, 200, msgspec.Raw(body))


def refused(batch: Batch, number: int, custom_id: str, request_id: str, error: GatewayError, *, debug: bool) -> bytes:
    """Return the line of an error of the endpoint."""
    return _response(batch, number, custom_id, request_id, error.status, error.body(request_id, debug=debug))


def undone(batch: Batch, number: int, custom_id: str, code: str, message: str) -> bytes:
    """Return the line of a request that was not carried out."""
    return _line(batch, number, custom_id, None, {"code": code, "message": message})


def copied(batch: Batch, number: int, custom_id: str, result: bytes) -> bytes:
    """Return the line of a request that is answered as an equal one, by its line."""
    found = _decode_copied(result)
    return _line(batch, number, custom_id, found.response, found.error)


class _Copied(msgspec.Struct):
    response: msgspec.Raw
    error: msgspec.Raw


_decode_copied = msgspec.json.Decoder(_Copied).decode


def _response(batch: Batch, number: int, custom_id: str, request_id: str, status: int, body: Any) -> bytes:
    return _line(batch, number, custom_id, {"status_code": status, "request_id": request_id, "body": body}, None)


def _line(batch: Batch, number: int, custom_id: str, response: Any, error: Any) -> bytes:
    id = f"batch_req_{digest([batch.id, batch.created, number])[:32]}"
    line = _encode({"id": id, "custom_id": custom_id, "response": response, "error": error})
    for end, escaped in _OTHER_LINE_ENDS:
        line = line.replace(end, escaped)
    return line


def _shown(value: Any) -> str:
    return repr(clipped(value)) if isinstance(value, str) else "anything else"
