"""The ASGI application: every operation over HTTP, with complete answers and with Server-Sent Events.

On Lambda the Web Adapter turns invocations into HTTP requests and streams the responses. Two headers, which the adapter sets on
every request, are all that this module knows of it: ``x-amzn-request-context`` (from API Gateway, with the authorizer's result,
or from the function's own URL) and ``x-amzn-lambda-context`` (with the invocation's deadline).
"""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from llm_functions.api_formats import answer_ids, chat, openai_chat
from llm_functions.http import function_url
from llm_functions.http.caller_watch import CallerWatch, Receive
from llm_functions.http.event_stream import EventStreamWriter, Headers, Send, StreamRenderer, routing_headers
from llm_functions.http.request_body import read_object
from llm_functions.request_context import caller_from_context, caller_from_identity, credential_from_context
from llm_gateway import environment, errors
from llm_gateway.errors import GatewayError, Problem
from llm_gateway.estimate import request_tokens
from llm_gateway.events import Event, Start
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import ANONYMOUS, SUBPROTOCOL, TICKET_SUBPROTOCOL, Caller
from llm_gateway.operations import EXPOSED_HEADERS, Operation, operations
from llm_gateway.pipeline import answer
from llm_gateway.request import ChatRequest
from llm_gateway.stages.authorize import allowed_alias, authorize, usable_aliases
from llm_gateway.telemetry import record_refusal, stacktrace, write_log

if TYPE_CHECKING:
    from llm_functions.http.repeats import Kept
    from llm_gateway.batches.store import BatchStore
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.identity.keys import KeyStore
    from llm_gateway.identity.tickets import TicketTable
    from llm_gateway.jobs.store import JobStore
    from llm_gateway.stages.cancel import Cancels
    from llm_gateway.stages.idempotency import Claim, Idempotency
    from llm_gateway.usage_history import UsageHistory

Scope = dict[str, Any]

# Seconds that a request may take outside of Lambda, where no header names a deadline.
DEFAULT_DEADLINE_SECONDS = 300.0
# Seconds before the end of the invocation at which a request times out, so that the error can still be sent.
DEADLINE_MARGIN_SECONDS = 1.0

_JSON = b"application/json"
# The operations of batches and files that answer with JSON.
_OF_BATCHES = (
    *("create_file", "files", "file", "delete_file"),
    *("create_batch", "batches", "batch", "cancel_batch"),
)
# A shared cache may keep a response for five minutes, a browser must not.
_SHARED = b"max-age=0, s-maxage=300"
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class HttpRequest(msgspec.Struct):
    """One HTTP request, as its handler needs it; `scope` is ASGI's. `headers` are those that every response to it has.
    `deadline` is a time of the loop's clock. `authorizer` is the authorizer's context, if there is one. `parameter` is the
    value of the path's one. `claim` is that of its idempotency key, if it names one. `cache_control` is that header, where
    answers are cached."""

    request_id: str
    headers: Headers
    caller: Caller
    authorizer: Any
    parameter: str
    body: dict[str, Any]
    deadline: float
    receive: Receive
    send: Send
    claim: "Claim | None" = None
    cache_control: str = ""
    scope: Scope = msgspec.field(default_factory=dict[str, Any])


class Application:
    """The ASGI application.

    `keys` is the table of API keys, with which requests to the function's own URL are checked. `tickets` is the table of
    tickets for WebSockets; without it none are issued. `idempotency` keeps the answers to requests that name keys; without it,
    these are answered as any others. `cancels` is what callers have asked to stop; without it, nobody can ask. `jobs` returns
    what is kept of jobs, and `batches` what is kept of batches and files; without it there are none.
    `usage` returns what was used on past days; without it, that is not counted.
    """

    def __init__(
        self,
        gateway: Gateway,
        environ: Mapping[str, str] = os.environ,
        *,
        keys: "KeyStore | None" = None,
        tickets: "TicketTable | None" = None,
        idempotency: "Idempotency | None" = None,
        cancels: "Cancels | None" = None,
        jobs: "Callable[[], JobStore] | None" = None,
        batches: "Callable[[], BatchStore] | None" = None,
        usage: "Callable[[], UsageHistory] | None" = None,
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._tickets = tickets
        self._idempotency = idempotency
        self._cancels = cancels
        self._jobs = jobs
        self._batches = batches
        self._history = usage
        served = operations(
            tickets=tickets is not None,
            limits=gateway.ledger is not None,
            journal=cancels is not None,
            jobs=jobs is not None,
            batches=batches is not None,
            usage=usage is not None,
        )
        # The operations of each path by their methods; those with a parameter by what stands before it, and after it.
        self._by_path: dict[str, dict[str, Operation]] = {}
        self._by_ends: dict[tuple[str, str], dict[str, Operation]] = {}
        for each in served:
            start, _, parameter = each.path.partition("{")
            if parameter:
                self._by_ends.setdefault((start, parameter.partition("}")[2]), {})[each.method] = each
            else:
                self._by_path.setdefault(start, {})[each.method] = each
        self._auth = environ[environment.AUTHORIZATION]
        self._path_prefix = environ.get(environment.PATH_PREFIX, "")
        self._debug = environ.get(environment.DEBUG) == "true"
        self._origins = environ[environment.CORS_ALLOW_ORIGIN].encode().split(b",")
        self._handlers: dict[str, Callable[[HttpRequest], Awaitable[None]]] = {
            "chat": self._chat,
            "chat_stream": self._chat_stream,
            "chat_completions": self._chat_completions,
            "completions": self._completions,
            "responses": self._responses,
            "messages": self._messages,
            "count_tokens": self._count_tokens,
            "embeddings": self._embeddings,
            "models": self._models,
            "model": self._model,
            "websocket_ticket": self._websocket_ticket,
            "usage": self._usage,
            "cancel": self._cancel,
            "submit_jobs": partial(self._of_jobs, "submit"),
            "jobs": partial(self._of_jobs, "page"),
            "job": partial(self._of_jobs, "get"),
            "cancel_job": partial(self._of_jobs, "cancel"),
            "job_events": self._job_events,
            **{id: partial(self._of_batches, id) for id in _OF_BATCHES},
            "file_content": self._file_content,
            "health": self._health,
            "openapi": self._openapi,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = _json_header(headers, b"x-amzn-request-context")
        request_id = str(context.get("requestId") or uuid.uuid4())
        common = self._common_headers(request_id, headers.get(b"origin"))
        there, parameter = self._operations(scope["path"], context)
        operation = there.get(scope["method"])
        shape = (operation or next(iter(there.values()))).errors if there else None
        if shape == "anthropic":
            common.append((b"request-id", request_id.encode()))  # where Anthropic's SDKs look for it
        try:
            if operation is None:
                raise self._no_operation(scope["method"], errors.clipped(scope["path"]), there)
            caller = await self._caller(context, headers) if operation.authorized else ANONYMOUS
            body = await read_object(headers, receive) if operation.has_body else {}
            authorizer, deadline = context.get("authorizer"), _deadline(headers)
            http = HttpRequest(request_id, common, caller, authorizer, parameter, body, deadline, receive, send, scope=scope)
            if operation.generates and self._gateway.tracer is not None:
                self._gateway.tracer.begin(headers, operation.method, operation.path)
            if operation.generates and self._idempotency is not None:
                http.claim = _claim(self._idempotency, operation, http, headers)
            if self._gateway.cache is not None:
                http.cache_control = headers.get(b"cache-control", b"").decode("latin-1")
            await self._handlers[operation.id](http)
        except Exception as error:
            failure = _failure(error, request_id)
            respond = self._send
            if not failure.recorded:  # it failed before the pipeline, which records everything else
                record_refusal(request_id, scope["method"], scope["path"], failure)
                respond = self._respond
            body = _error_body(shape, failure, request_id, debug=self._debug)
            await respond(send, common, failure.status, _encode(body), failure.headers())

    def _operations(self, path: str, context: dict[str, Any]) -> tuple[Mapping[str, Operation], str]:
        """Return the operations of a request's path by their methods, and the value of the path's parameter, which may hold
        slashes."""
        if function_url.is_function_url(context):
            return function_url.operations(path), ""
        return self._at(_path_of_operation(path, context, self._path_prefix))

    def _at(self, path: str) -> tuple[Mapping[str, Operation], str]:
        if (there := self._by_path.get(path)) is not None:
            return there, ""
        for (start, end), there in self._by_ends.items():
            if path.startswith(start) and path.endswith(end) and (value := path[len(start) : len(path) - len(end)]):
                return there, value
        return {}, ""

    def _no_operation(self, method: str, path: str, there: Mapping[str, Operation]) -> GatewayError:
        """Return the error 405 of a path that has other methods, or 404.

        https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
        """
        if not there:
            return errors.unknown_route(method=method, path=path, hint=self._nearest(method, path))
        allow = ", ".join(there)
        error = errors.method_not_allowed(path=path, allowed=allow, method=errors.clipped(method))
        error.allow = allow
        return error

    def _nearest(self, method: str, path: str) -> str:
        """Return what to tell of a route that is not there: the one that was meant, and what its client has to mend."""
        for wrong, right, base in (("/v1/v1/", "/v1/", "ends before /v1"), ("/", "/v1/", "ends with /v1")):
            meant = right + path.removeprefix(wrong)
            if path.startswith(wrong) and method in self._at(meant)[0]:
                return f"there is {meant}: set your client's base URL so that it {base}"
        import difflib

        near = difflib.get_close_matches(path, self._by_path, n=1)
        return f"did you mean {', '.join(self._by_path[near[0]])} {near[0]}?" if near else errors.BASE_URLS

    async def _caller(self, context: dict[str, Any], headers: dict[bytes, bytes]) -> Caller:
        """Return the caller that API Gateway names. The edge has refused everybody else; this refuses them too.

        The caller of the function's own URL is known by the API key.
        """
        match self._auth:
            case "none":
                return ANONYMOUS
            case "api_key" if function_url.is_function_url(context):
                return await function_url.caller(headers, self._keys)
            case "iam":
                return caller_from_identity(context.get("identity"))
            case _:
                credential = credential_from_context(context.get("authorizer"))
                if credential.expires and time.time() >= credential.expires:  # API Gateway's cache still trusts the token
                    raise errors.invalid_api_key()
                return caller_from_context(context.get("authorizer"))

    # One method for each operation.

    async def _chat(self, http: HttpRequest) -> None:
        request = chat.parse(http.body, stream=False)
        await self._send_complete(http, chat.render_complete(self._answer(http, request)))

    async def _chat_stream(self, http: HttpRequest) -> None:
        request = chat.parse(http.body, stream=True)
        since = http.claim.since if http.claim is not None else 0
        await self._send_stream(http, self._answer(http, request), lambda id: chat.StreamRenderer(id, since))

    async def _chat_completions(self, http: HttpRequest) -> None:
        request, include_usage = openai_chat.parse(http.body)
        events = self._answer(http, request)
        logprobs = "logprobs" in request.rare
        if request.stream:
            renderer = openai_chat.LogprobsRenderer if logprobs else openai_chat.StreamRenderer
            await self._send_stream(http, events, lambda id: renderer(id, include_usage))
        else:
            await self._send_complete(http, openai_chat.render_complete(events, logprobs=logprobs))

    async def _completions(self, http: HttpRequest) -> None:
        from llm_functions.api_formats import openai_completions

        request, include_usage = openai_completions.parse(http.body)
        events = self._answer(http, request)
        if request.stream:
            await self._send_stream(http, events, lambda id: openai_completions.StreamRenderer(id, include_usage))
        else:
            await self._send_complete(http, openai_completions.render_complete(events))

    async def _responses(self, http: HttpRequest) -> None:
        from llm_functions.api_formats.openai_responses import answer, request

        asked = request.parse(http.body)
        events = self._answer(http, asked)
        if asked.stream:
            await self._send_stream(http, events, lambda id: answer.StreamRenderer(id, http.body))
        else:
            await self._send_complete(http, answer.render_complete(http.body, events), answer.Kept(http.body))

    async def _messages(self, http: HttpRequest) -> None:
        from llm_functions.api_formats.anthropic_messages import answer, request

        asked, thinking = request.parse(http.body)
        events = self._answer(http, asked)
        if asked.stream:
            await self._send_stream(http, events, lambda id: answer.StreamRenderer(id, asked, thinking))
        else:
            await self._send_complete(http, answer.render_complete(events, thinking, asked.sampling.stop))

    async def _count_tokens(self, http: HttpRequest) -> None:
        from llm_functions.api_formats.anthropic_messages import answer, request

        asked, _ = request.parse(http.body, counted=True)
        gateway = self._gateway.current()
        alias = authorize(http.caller, asked.model, gateway.routes, rules=gateway.policy)
        if gateway.policy is not None:
            gateway.policy.usable(alias, http.caller)
        tokens = request_tokens(asked.system, asked.messages, asked.tools)
        await self._respond(http.send, http.headers, 200, answer.render_count(tokens))

    async def _embeddings(self, http: HttpRequest) -> None:
        from llm_functions.api_formats import openai_embeddings

        request = openai_embeddings.parse(http.body)
        await self._send_complete(http, openai_embeddings.render(self._answer(http, request), base64=request.base64))

    async def _models(self, http: HttpRequest) -> None:
        from llm_functions.api_formats import models

        policy = self._gateway.current().policy
        aliases = usable_aliases(http.caller, self._gateway.routes, policy)
        streams = policy is None or policy.may_stream(http.caller)
        await self._respond(http.send, http.headers, 200, models.render_list(aliases, streams=streams))

    async def _model(self, http: HttpRequest) -> None:
        from llm_functions.api_formats import models

        policy, streams = self._gateway.current().policy, True
        alias = allowed_alias(http.caller, http.parameter, self._gateway.routes, policy)
        if policy is not None:
            alias, streams = policy.usable(alias, http.caller), policy.may_stream(http.caller)
        await self._respond(http.send, http.headers, 200, models.render(alias, streams=streams))

    async def _websocket_ticket(self, http: HttpRequest) -> None:
        assert self._tickets is not None  # else there is no such operation
        ticket, seconds = await self._tickets.issue(http.caller, credential_from_context(http.authorizer))
        subprotocols = [SUBPROTOCOL, TICKET_SUBPROTOCOL + ticket]
        answer = {"ticket": ticket, "expires_in": seconds, "subprotocols": subprotocols}
        await self._respond(http.send, http.headers, 200, _encode(answer))

    async def _usage(self, http: HttpRequest) -> None:
        from urllib.parse import parse_qsl

        ledger = self._gateway.current().ledger
        asked = dict(parse_qsl(http.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
        if self._history is not None and (asked or ledger is None):
            await self._respond(http.send, http.headers, 200, _encode(await self._history().answer(http.caller, asked)))
            return
        from llm_gateway.usage import usage_of

        assert ledger is not None  # else there is no such operation
        await self._respond(http.send, http.headers, 200, _encode(await usage_of(ledger, http.caller)))

    async def _cancel(self, http: HttpRequest) -> None:
        assert self._cancels is not None  # else there is no such operation
        request_id = answer_ids.request_id(http.parameter)
        await self._cancels.record(http.caller, request_id)
        await self._respond(http.send, http.headers, 202, _encode({"request_id": request_id, "status": "cancelling"}))

    async def _of_jobs(self, name: str, http: HttpRequest) -> None:
        from llm_functions.http import jobs

        assert self._jobs is not None  # else there are no such operations
        gateway = self._gateway.current()
        if name == "submit":  # what is kept stays: the newest flags may forbid it
            await self._flags_fetched()
            gateway = self._gateway.current()
        status, body, headers = await getattr(jobs, name)(gateway, self._jobs(), http)
        await self._respond(http.send, http.headers, status, _encode(body), headers)

    async def _job_events(self, http: HttpRequest) -> None:
        from llm_functions.http import jobs

        assert self._jobs is not None  # else there is no such operation
        await self._flags_fetched()  # it may send all at once, and no more after that
        await jobs.follow(self._jobs(), http)

    async def _of_batches(self, id: str, http: HttpRequest) -> None:
        from llm_functions.http import batches

        assert self._batches is not None  # else there are no such operations
        if id in ("create_file", "create_batch"):  # what is kept stays: the newest flags may forbid it
            await self._flags_fetched()
        status, body, headers = await batches.respond(id, self._gateway.current(), self._batches(), http)
        await self._respond(http.send, http.headers, status, _encode(body), headers)

    async def _file_content(self, http: HttpRequest) -> None:
        from llm_functions.http import batches

        assert self._batches is not None  # else there is no such operation
        await self._flags_fetched()  # it may send all at once, and no more after that
        await batches.send_content(self._batches(), http)

    async def _health(self, http: HttpRequest) -> None:
        # At once: the Web Adapter asks it while the process starts, and everybody waits for that.
        await self._send(http.send, http.headers, 200, b'{"status":"ok"}')

    async def _openapi(self, http: HttpRequest) -> None:
        from llm_functions.http.openapi import document

        routes = self._gateway.routes
        chats, embeddings = routes.names("chat"), routes.names("embedding")
        described = document(
            chats,
            self._auth,
            tickets=self._tickets is not None,
            limits=self._gateway.ledger is not None,
            idempotency=self._idempotency is not None,
            embedding_models=embeddings,
            is_cached=self._gateway.cache is not None,
            jobs=self._jobs is not None,
            batches=self._batches is not None,
            usage=self._history is not None,
        )
        # It is the same for everyone until the next deployment.
        headers = [(name, _SHARED if name == b"cache-control" else value) for name, value in http.headers]
        await self._respond(http.send, headers, 200, described)

    def _answer(self, http: HttpRequest, request: "ChatRequest | EmbeddingRequest") -> AsyncGenerator[list[Event], None]:
        stop = None if self._cancels is None or not request.stream else self._cancels.stop(http.caller, http.request_id)
        return answer(self._gateway, request, http.caller, http.request_id, http.deadline, http.claim, stop, http.cache_control)

    # The two ways to respond.

    async def _send_complete(
        self, http: HttpRequest, rendering: Coroutine[Any, Any, tuple[Start, bytes]], kept: "Kept | None" = None
    ) -> None:
        """Send an answer when it is complete. When the caller disconnects before, the generation is stopped, unless it is kept
        for its repetitions: as `kept` says, or as it is."""
        if http.claim is not None:
            from llm_functions.http import repeats

            headers, body = await repeats.complete(http.claim, rendering, kept)
            await self._send(http.send, http.headers, 200, body, headers)
            return
        caller = CallerWatch(http.receive, _WATCH_AFTER)
        try:
            start, body = await rendering
        except asyncio.CancelledError:
            if not caller.gone:
                raise
            return
        finally:
            caller.close()
        await self._send(http.send, http.headers, 200, body, routing_headers(start))

    async def _respond(
        self,
        send: Send,
        common: list[tuple[bytes, bytes]],
        status: int,
        body: bytes,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        """Send a response that the pipeline has not made. Before, it waits for the feature flags, as the pipeline does: Lambda
        freezes the process when the response has been sent, so without that they might never come."""
        await self._flags_fetched()
        await self._send(send, common, status, body, headers)

    async def _flags_fetched(self) -> None:
        if self._gateway.flags is not None:
            await self._gateway.flags.fetched()

    async def _send(
        self,
        send: Send,
        common: list[tuple[bytes, bytes]],
        status: int,
        body: bytes,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", _JSON),
                    (b"content-length", b"%d" % len(body)),
                    *common,
                    *((name.encode(), value.encode()) for name, value in headers or ()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(
        self, http: HttpRequest, batches: AsyncGenerator[list[Event], None], render: Callable[[str], StreamRenderer]
    ) -> None:
        """Send the events of an answer as they come.

        The head of the response is sent with the first event, or with the first keep-alive comment if the model takes longer
        to begin. Before that, an error is raised and answered with its own status; afterwards an error is sent as an event.
        When the caller disconnects, the generation is stopped, unless it is kept for its repetitions.

        Args:
            render: Gives the renderer for a request id.
        """
        if http.claim is not None:
            from llm_functions.http import repeats

            failure = partial(_failure, request_id=http.request_id)
            await repeats.send_stream(http, http.claim, batches, render, failure, self._cancels, debug=self._debug)
            return
        renderer = render(http.request_id)
        writer = EventStreamWriter(http.send, http.headers, renderer.opening())
        caller = CallerWatch(http.receive)
        try:
            async for batch in batches:
                if data := renderer.events(batch):
                    await writer.write(data, batch)
            await self._finish(writer, renderer.closing())
        except Exception as error:
            if not writer.opened:
                raise
            await self._finish(writer, renderer.error(_failure(error, http.request_id), debug=self._debug))
        except asyncio.CancelledError:
            if not caller.gone:
                raise
        finally:
            caller.close()
            writer.close()
            await batches.aclose()

    async def _finish(self, writer: EventStreamWriter, data: bytes) -> None:
        """Send the last of a stream. Its end waits a moment for the export of spans: on Lambda, nothing is sent after it."""
        if self._gateway.tracer is not None:
            await writer.write(data)
            await self._gateway.tracer.sent()
            data = b""
        await writer.finish(data)

    def _common_headers(self, request_id: str, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response to a request from `origin`.

        A response can allow one origin only. Of several, it is the request's own; any other one gets the first, and its browser
        refuses to show it the response. https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
        """
        several = len(self._origins) > 1
        return [
            (b"x-request-id", request_id.encode()),
            (b"access-control-allow-origin", origin if several and origin in self._origins else self._origins[0]),
            *([(b"vary", b"Origin")] if several else []),
            (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]


def _error_body(shape: str | None, error: GatewayError, request_id: str, *, debug: bool) -> dict[str, Any]:
    """Return an error in the shape of the path's format; for an unknown path in Anthropic's, which has OpenAI's in it."""
    if shape == "openai":
        return error.body(request_id, debug=debug)
    from llm_functions.api_formats.anthropic_messages.answer import error_body

    return error_body(error, request_id, debug=debug)


def _claim(
    idempotency: "Idempotency", operation: Operation, http: HttpRequest, headers: Mapping[bytes, bytes]
) -> "Claim | None":
    """Return the claim of the key that a request names, if it does. Raises the error 400."""
    stream = operation.id == "chat_stream"
    since = _last_event_id(headers) if stream else 0  # the events of the other formats have no ids
    if b"idempotency-key" not in headers:
        if since:
            raise errors.invalid_request([Problem("Last-Event-ID", "needs the Idempotency-Key that the stream was asked with")])
        return None
    return idempotency.claim(
        headers[b"idempotency-key"].decode("latin-1"),
        http.caller,
        http.request_id,
        [operation.id, http.body],
        http.deadline,
        stream=stream or http.body.get("stream") is True,
        since=since,
    )


def _last_event_id(headers: Mapping[bytes, bytes]) -> int:
    """Return the number of the last event that a client has; 0 if it has none. Raises the error 400."""
    text = headers.get(b"last-event-id", b"")
    if text and not (text.isdigit() and len(text) < 10):
        raise errors.invalid_request([Problem("Last-Event-ID", "must be the id of an event of /chat/stream, such as 12")])
    return int(text or 0)


def _failure(error: Exception, request_id: str) -> GatewayError:
    """Return the error for the caller. The traceback of an unexpected exception goes to the log only."""
    if isinstance(error, GatewayError):
        return error
    write_log({"level": "ERROR", "message": stacktrace(error), "request_id": request_id})
    return errors.unexpected(error)


# How long a complete answer may take before the gateway looks whether its caller is still there, in seconds. Most answers that
# are that quick need no watch, which is not free.
_WATCH_AFTER = 0.5


def _path_of_operation(path: str, context: Mapping[str, Any], prefix: str) -> str:
    """Return a request's path without the prefix, and without the base path of a custom domain, which API Gateway leaves in it.

    The resource's path, such as /v1/models, has none. https://github.com/aws/serverless-java-container/issues/112 shows both.
    The value of a parameter may hold slashes, so what stands before that is looked for: from the end, for a base path may be
    named as an operation is, such as /jobs.
    """
    resource = context.get("resourcePath")
    if isinstance(resource, str) and "{" in resource:
        return path[max(0, path.rfind(resource.partition("{")[0])) :].removeprefix(prefix)
    more = path.count("/") - resource.count("/") if isinstance(resource, str) else 0
    return ("/" + path.split("/", more + 1)[-1] if more > 0 else path).removeprefix(prefix)


def _json_header(headers: dict[bytes, bytes], name: bytes) -> dict[str, Any]:
    """Return the JSON object in a header that the adapter sets; {} if it is missing or cannot be read."""
    try:
        return _decode_object(headers.get(name, b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _deadline(headers: dict[bytes, bytes]) -> float:
    """Return the loop's time by which the request must be answered."""
    context = _json_header(headers, b"x-amzn-lambda-context")
    epoch_ms = context.get("deadline")
    left = (epoch_ms / 1000 - time.time()) if isinstance(epoch_ms, int) and epoch_ms else DEFAULT_DEADLINE_SECONDS
    return asyncio.get_running_loop().time() + left - DEADLINE_MARGIN_SECONDS
