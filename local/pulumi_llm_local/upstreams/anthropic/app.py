"""Anthropic's Messages API as the local run plays it: POST {base}/v1/messages, whole and streamed.

Who answers is a `Model`; what goes wrong on purpose is a `Fault`. Sources: https://docs.anthropic.com/en/api/messages,
https://docs.anthropic.com/en/docs/build-with-claude/streaming, https://docs.anthropic.com/en/api/errors and
https://docs.anthropic.com/en/api/rate-limits.
"""

import json
import logging
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from pulumi_llm_local.upstreams.anthropic.request import InvalidRequest, MessagesRequest, read_messages
from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule
from pulumi_llm_local.upstreams.faulty import generate
from pulumi_llm_local.upstreams.model import (
    BedrockError,
    ConverseCall,
    Finish,
    Json,
    Model,
    ModelTraits,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextDelta,
    ToolUseDelta,
    ToolUseStart,
)
from pulumi_llm_local.upstreams.server import (
    Connections,
    exceeded_context,
    exceeds_context,
    html_page,
    send_stream,
    send_whole,
    within_generation,
)
from pulumi_llm_local.upstreams.tokens import input_tokens

_log = logging.getLogger(__name__)


def create_app(
    *,
    models: Mapping[str, ModelTraits],
    model: Model,
    name: str = "anthropic",
    key: str | None = None,
    faults: Sequence[Fault] = (),
) -> web.Application:
    """The upstream at any base URL. `models` maps a model's name to what it accepts; its `reasoning` allows thinking.

    `name` is what a fault calls this upstream. `key` is the API key that it wants; None: it takes any.
    """
    upstream = _Upstream(models, model, key, FaultSchedule(faults, name))
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    app.on_shutdown.append(upstream.connections.stop)
    return app


_MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class _Refusal:
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self, request_id: str) -> Json:
        error = {"type": _ERROR_TYPES.get(self.status, "invalid_request_error"), "message": self.message}
        return {"type": "error", "error": error, "request_id": request_id}


class _Refused(Exception):
    def __init__(self, refusal: _Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_FAILED = _Refusal(500, "Internal server error")
_OVERLOADED = _Refusal(529, "Overloaded")
_THROTTLED = _Refusal(
    429,
    "This request would exceed your organization's rate limit of 50 requests per minute. Please try again later.",
    {"retry-after": "1"},
)


class _Upstream:
    def __init__(self, models: Mapping[str, ModelTraits], model: Model, key: str | None, faults: FaultSchedule) -> None:
        self.connections = Connections()
        self._models = models
        self._model = model
        self._key = key
        self._faults = faults

    async def handle(self, request: web.Request) -> web.StreamResponse:
        request_id = f"req_{uuid.uuid4().hex[:24]}"
        headers = {"request-id": request_id, "anthropic-organization-id": "org-local", **_rate_limits()}
        try:
            return await self._handle(request, request_id, headers)
        except _Refused as error:
            refusal = error.refusal
        except InvalidRequest as error:
            refusal = _Refusal(error.status, error.message)
        except BedrockError as error:
            refusal = _of_model(error)
        except web.HTTPRequestEntityTooLarge:
            refusal = _Refusal(413, "Request exceeds the maximum size")
        except Exception:
            _log.exception("the local Anthropic failed")
            refusal = _FAILED
        return web.json_response(refusal.body(request_id), status=refusal.status, headers={**headers, **refusal.headers})

    async def _handle(self, request: web.Request, request_id: str, headers: Mapping[str, str]) -> web.StreamResponse:
        key = request.headers.get("x-api-key", "")
        if not key:
            raise _Refused(_Refusal(401, "x-api-key header is required"))
        if self._key not in (None, key):
            raise _Refused(_Refusal(401, "invalid x-api-key"))
        if request.method != "POST" or not request.path.endswith("/v1/messages"):
            raise _Refused(_Refusal(404, "Not Found"))
        version = request.headers.get("anthropic-version")
        if version is None:
            raise _Refused(_Refusal(400, "anthropic-version: header is required"))
        if version not in _VERSIONS:
            raise _Refused(_Refusal(400, f'anthropic-version: "{version}" is not a valid version for this API'))
        messages = read_messages(await request.read(), self._models)
        fault = self._faults.next()
        if fault == "html":
            return html_page()
        refusal = _of_fault(fault, messages.call)
        if refusal is not None:
            raise _Refused(refusal)
        send = self._send_stream if messages.stream else self._send_whole
        return await self.connections.while_connected(request, send(request, messages, fault, request_id, headers))

    async def _send_stream(
        self,
        request: web.Request,
        messages: MessagesRequest,
        fault: FaultKind | None,
        request_id: str,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        return await send_stream(
            request,
            _frames(_events(generate(self._model, messages.call, fault), messages.call)),
            {**headers, "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"},
            failed=lambda error: _frame(_of_model(error).body(request_id)),
            malformed=b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del\n\n',
        )

    async def _send_whole(
        self,
        request: web.Request,
        messages: MessagesRequest,
        fault: FaultKind | None,
        request_id: str,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        events = _events(generate(self._model, messages.call, within_generation(fault)), messages.call)
        body = json.dumps(await _whole(events), ensure_ascii=False).encode()
        return await send_whole(request, body, headers, fault)


_VERSIONS = ("2023-06-01", "2023-01-01")


def _of_fault(fault: FaultKind | None, call: ConverseCall) -> _Refusal | None:
    """The error before the model is asked. A refusal of content is none: it ends an answer, with the stop reason refusal."""
    match fault:
        case "throttle":
            return _THROTTLED
        case "not-ready" | "503":
            return _OVERLOADED
        case "500":
            return _FAILED
        case "bad-key":
            return _Refusal(401, "invalid x-api-key")
        case _ if fault == "context" or exceeds_context(call):
            limit, tokens = exceeded_context(call)
            return _Refusal(400, f"prompt is too long: {tokens} tokens > {limit} maximum")
        case _:
            return None


def _of_model(error: BedrockError) -> _Refusal:
    """What the model behind the upstream raised, told as Anthropic tells the like."""
    match error.status:
        case 429:
            return _THROTTLED
        case 503:
            return _OVERLOADED
        case 424:  # the fault stream-error
            return _Refusal(529, "Overloaded")
        case 400 | 403 | 404:
            return _Refusal(error.status, error.message)
        case _:
            return _FAILED


def _rate_limits() -> dict[str, str]:
    """The numbers stay as they are, for the local run limits nothing by itself."""
    reset = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    limits = {
        "requests": (50, 49),
        "tokens": (80_000, 79_000),
        "input-tokens": (40_000, 39_000),
        "output-tokens": (8_000, 7_900),
    }
    headers: dict[str, str] = {}
    for what, (limit, remaining) in limits.items():
        prefix = f"anthropic-ratelimit-{what}-"
        headers |= {f"{prefix}limit": str(limit), f"{prefix}remaining": str(remaining), f"{prefix}reset": reset}
    return headers


# The answer on the wire.

_STOP_REASONS: dict[StopReason, str] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "content_filtered": "refusal",
}


async def _frames(events: AsyncGenerator[Json, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            yield _frame(event)


def _frame(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


async def _events(pieces: AsyncGenerator[Piece, None], call: ConverseCall) -> AsyncGenerator[Json, None]:
    """The events of the stream. After the first start of a block comes a ping, as from Anthropic."""
    index, kind = -1, ""
    async with aclosing(pieces):
        async for piece in pieces:
            if not kind:
                yield {"type": "message_start", "message": _message(call)}
            block, delta = _delta(piece)
            if block["type"] != kind or isinstance(piece, ToolUseStart):
                if index >= 0:
                    yield {"type": "content_block_stop", "index": index}
                index, kind = index + 1, block["type"]
                if not isinstance(piece, Finish):
                    yield {"type": "content_block_start", "index": index, "content_block": block}
                    if index == 0:
                        yield {"type": "ping"}
            if isinstance(piece, Finish):
                # One sequence given is one met, whether the model tells it or not.
                met = piece.stop_sequence or (call.stop[0] if len(call.stop) == 1 else None)
                stopped: Json = {
                    "stop_reason": _STOP_REASONS[piece.stop_reason],
                    "stop_sequence": met if piece.stop_reason == "stop_sequence" else None,
                }
                if piece.stop_reason == "content_filtered":
                    stopped["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
                yield {"type": "message_delta", "delta": stopped, "usage": _usage(piece.input_tokens, piece.output_tokens)}
                yield {"type": "message_stop"}
            elif delta:
                yield {"type": "content_block_delta", "index": index, "delta": delta}


def _message(call: ConverseCall) -> Json:
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": call.model_id,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_usage(input_tokens(call), 1), "service_tier": "standard"},
    }


def _usage(given: int, written: int) -> Json:
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": written,
    }


def _delta(piece: Piece) -> tuple[Json, Json]:
    """The block that the piece belongs to, as it begins, and what the piece adds to it."""
    match piece:
        case TextDelta():
            return {"type": "text", "text": ""}, {"type": "text_delta", "text": piece.text}
        case ReasoningDelta():
            return _THINKING, {"type": "thinking_delta", "thinking": piece.text}
        case SignatureDelta():
            return _THINKING, {"type": "signature_delta", "signature": piece.signature}
        case ToolUseStart():
            id_ = f"toolu_{piece.id.removeprefix('tooluse_')}"
            return {"type": "tool_use", "id": id_, "name": piece.name, "input": {}}, {}
        case ToolUseDelta():
            return {"type": "tool_use"}, {"type": "input_json_delta", "partial_json": piece.input}
        case Finish():
            return {"type": "none"}, {}


_THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}


async def _whole(events: AsyncGenerator[Json, None]) -> Json:
    """The message, put together from the events of the stream."""
    message: Json = {}
    blocks: list[Json] = []
    inputs: dict[int, str] = {}
    async with aclosing(events):
        async for event in events:
            match event["type"]:
                case "message_start":
                    message = event["message"]
                case "content_block_start":
                    blocks.append(dict(event["content_block"]))
                case "content_block_delta" if event["delta"]["type"] == "input_json_delta":
                    inputs[event["index"]] = inputs.get(event["index"], "") + event["delta"]["partial_json"]
                case "content_block_delta":
                    ((name, text),) = ((name, text) for name, text in event["delta"].items() if name != "type")
                    blocks[-1][name] += text
                case "message_delta":
                    message |= {**event["delta"], "usage": {**message["usage"], **event["usage"]}}
                case _:
                    pass
    for index, text in inputs.items():
        blocks[index]["input"] = _tool_input(text)
    return {**message, "content": blocks}


def _tool_input(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:  # max_tokens cut the input short
        return {}
