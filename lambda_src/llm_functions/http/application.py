"""The ASGI application: every operation over HTTP, complete and as Server-Sent Events.

On Lambda the Web Adapter turns invocations into its requests and streams its responses;
nothing here knows of that but two headers, which the adapter sets anew on every request: ``x-amzn-request-context`` (API
Gateway's, with what the authorizer found) and ``x-amzn-lambda-context`` (with the invocation's deadline).
"""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from llm_functions.api_formats import chat as chat_api
from llm_functions.api_formats import openai_chat
from llm_functions.http.event_stream import EventStreamWriter, Send, routing_headers
from llm_functions.request_context import caller_from_context, caller_from_identity
from llm_gateway import environment, errors
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event, Start
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.operations import MAX_BODY_BYTES, OPERATIONS
from llm_gateway.pipeline import Gateway, answer
from llm_gateway.request import ChatRequest
from llm_gateway.stages.authorize import allowed_models
from llm_gateway.telemetry import record_refusal, write_log

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]

# Seconds that a call may take where no invocation says how long it lives.
DEFAULT_DEADLINE_SECONDS = 300.0
# Seconds before the invocation's end by which an answer, or the error that says it timed out, is sent.
DEADLINE_MARGIN_SECONDS = 1.0

_JSON = b"application/json"
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_by_route = {(operation.method, operation.path): operation for operation in OPERATIONS}


class Call(msgspec.Struct):
    """One HTTP request, as its handler needs it. `deadline` is a time of the loop's clock."""

    request_id: str
    caller: Caller
    body: dict[str, Any]
    deadline: float
    receive: Receive
    send: Send


class Application:
    """The ASGI application."""

    def __init__(self, gateway: Gateway, environ: Mapping[str, str] = os.environ) -> None:
        self._gateway = gateway
        self._auth = environ[environment.AUTHORIZATION]
        self._debug = environ.get(environment.DEBUG) == "true"
        self._cors = (b"access-control-allow-origin", environ[environment.CORS_ALLOW_ORIGIN].encode())
        self._handlers: dict[str, Callable[[Call], Awaitable[None]]] = {
            "chat": self._chat,
            "chat_stream": self._chat_stream,
            "chat_completions": self._chat_completions,
            "models": self._models,
            "health": self._health,
            "openapi": self._openapi,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = _json_header(headers, b"x-amzn-request-context")
        request_id = str(context.get("requestId") or uuid.uuid4())
        try:
            operation = _by_route.get((scope["method"], scope["path"]))
            if operation is None:
                raise errors.unknown_route(method=scope["method"], path=scope["path"])
            caller = self._caller(context) if operation.authorized else ANONYMOUS
            body = await _body(headers, receive) if operation.has_body else {}
            call = Call(request_id, caller, body, _deadline(headers), receive, send)
            await self._handlers[operation.id](call)
        except Exception as error:
            failure = _failure(error, request_id)
            if not failure.recorded:  # it never came to the pipeline, which records whatever happens there
                record_refusal(request_id, scope["method"], scope["path"], failure)
            body = _encode(failure.body(request_id, debug=self._debug))
            await self._respond(send, request_id, failure.status, body, failure.headers())

    def _caller(self, context: dict[str, Any]) -> Caller:
        """Who calls, by API Gateway's word; the edge has refused everybody else, and so does this."""
        match self._auth:
            case "none":
                return ANONYMOUS
            case "iam":
                return caller_from_identity(context.get("identity"))
            case _:
                return caller_from_context(context.get("authorizer"))

    # One method an operation.

    async def _chat(self, call: Call) -> None:
        await self._respond_complete(
            call, *await chat_api.render_complete(self._answer(call, chat_api.parse(call.body, stream=False)))
        )

    async def _chat_stream(self, call: Call) -> None:
        request = chat_api.parse(call.body, stream=True)
        await self._stream(call, self._answer(call, request), chat_api.Events(call.request_id))

    async def _chat_completions(self, call: Call) -> None:
        request, include_usage = openai_chat.parse(call.body)
        events = self._answer(call, request)
        if request.stream:
            await self._stream(call, events, openai_chat.Events(call.request_id, include_usage))
        else:
            await self._respond_complete(call, *await openai_chat.render_complete(events))

    async def _models(self, call: Call) -> None:
        names = allowed_models(call.caller, self._gateway.routes)
        await self._respond(call.send, call.request_id, 200, openai_chat.model_list(names))

    async def _health(self, call: Call) -> None:
        await self._respond(call.send, call.request_id, 200, b'{"status":"ok"}')

    async def _openapi(self, call: Call) -> None:
        from llm_functions.http.openapi import document

        await self._respond(call.send, call.request_id, 200, document(self._gateway.routes.names(), self._auth))

    def _answer(self, call: Call, request: ChatRequest) -> AsyncGenerator[list[Event], None]:
        return answer(self._gateway, request, call.caller, call.request_id, call.deadline)

    # The two ways to respond.

    async def _respond_complete(self, call: Call, start: Start, body: bytes) -> None:
        await self._respond(call.send, call.request_id, 200, body, routing_headers(start))

    async def _respond(
        self, send: Send, request_id: str, status: int, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", _JSON),
                    (b"content-length", b"%d" % len(body)),
                    *self._common_headers(request_id),
                    *((name.encode(), value.encode()) for name, value in headers or ()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, call: Call, batches: AsyncGenerator[list[Event], None], rendered: "Rendered") -> None:
        """Send an answer's events as they come.

        An error before the first event is answered with its own status. The response's head is sent with the first event, or
        with the first keep-alive comment where the model takes longer than that to begin; from then on an error is an event.
        A caller that goes away ends the generation.
        """
        writer = EventStreamWriter(call.send, self._common_headers(call.request_id), rendered.opening())
        work = asyncio.current_task()
        assert work is not None
        gone = False

        def leave(watch: "asyncio.Task[None]") -> None:
            nonlocal gone
            if not finished and not watch.cancelled():
                gone = True
                work.cancel()

        finished = False
        watch = asyncio.ensure_future(_disconnected(call.receive))
        watch.add_done_callback(leave)
        try:
            async for batch in batches:
                if data := rendered.events(batch):
                    await writer.write(data, batch)
            await writer.finish(rendered.closing())
        except Exception as error:
            if not writer.opened:
                raise
            await writer.finish(rendered.error(_failure(error, call.request_id), debug=self._debug))
        except asyncio.CancelledError:
            if not gone:
                raise
            work.uncancel()
        finally:
            finished = True
            watch.cancel()
            writer.close()
            await batches.aclose()

    def _common_headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-request-id", request_id.encode()),
            self._cors,
            (b"access-control-expose-headers", b"retry-after, server-timing, x-llm-target, x-request-id"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]


class Rendered(Protocol):
    """A dialect's way to write an event stream."""

    def opening(self) -> bytes: ...
    def events(self, batch: list[Event]) -> bytes: ...
    def error(self, error: GatewayError, *, debug: bool) -> bytes: ...
    def closing(self) -> bytes: ...


def _failure(error: Exception, request_id: str) -> GatewayError:
    """The last line of defense: a caller never sees a traceback, an operator always does."""
    if isinstance(error, GatewayError):
        return error
    import traceback

    write_log({"level": "ERROR", "message": traceback.format_exc(), "request_id": request_id})
    return errors.internal_error(detail=f"{type(error).__name__}: {error}")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(headers: dict[bytes, bytes], receive: Receive) -> dict[str, Any]:
    """The request's JSON object. Raises 400 or 413."""
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise errors.request_too_large(limit=MAX_BODY_BYTES)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise errors.request_too_large(limit=MAX_BODY_BYTES)
        if not message.get("more_body"):
            break
    if not body.strip():
        raise errors.invalid_json("the body is empty; it must be a JSON object")
    try:
        return _decode_object(body)
    except msgspec.ValidationError as error:
        if body.lstrip().startswith(b"{"):
            raise errors.invalid_json(f"the body cannot be read: {error}") from None
        raise errors.invalid_json('the body must be a JSON object, such as {"message": "Hello"}') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.invalid_json(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise errors.invalid_json("the body is nested too deeply") from None


def _json_header(headers: dict[bytes, bytes], name: bytes) -> dict[str, Any]:
    """A header that the adapter sets to a JSON object; {} where there is none, or none that can be read."""
    try:
        return _decode_object(headers.get(name, b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _deadline(headers: dict[bytes, bytes]) -> float:
    """The loop's time by which this call must have been answered."""
    context = _json_header(headers, b"x-amzn-lambda-context")
    epoch_ms = context.get("deadline")
    left = (epoch_ms / 1000 - time.time()) if isinstance(epoch_ms, int) and epoch_ms else DEFAULT_DEADLINE_SECONDS
    return asyncio.get_running_loop().time() + left - DEADLINE_MARGIN_SECONDS
