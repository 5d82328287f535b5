"""The HTTP server that the stand-ins share: it stops when the client leaves, and applies faults to the bytes that it sends."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from aiohttp import web

from pulumi_llm_local.upstreams.fault import (
    SLOW_FIRST_PIECE_S,
    CutStream,
    FaultKind,
    FaultSchedule,
    MalformedAnswer,
    generate,
)
from pulumi_llm_local.upstreams.model import Call, Json, LanguageModel, ModelTraits, Piece, UpstreamError

CallT = TypeVar("CallT", bound=Call)


@dataclass(frozen=True)
class Exchange(Generic[CallT]):
    """A valid call that is being answered, with the headers of the answer and the fault that happens to it."""

    request: web.Request
    call: CallT
    headers: Mapping[str, str]
    fault: FaultKind | None


@dataclass(kw_only=True, eq=False)
class UpstreamServer(ABC, Generic[CallT]):
    """A provider's stand-in: a subclass reads the requests and writes the answers in the words of its provider.

    Attributes:
        models: What each model accepts, by its name.
        model: What generates the answers.
        faults: Which requests fail, and how.
    """

    max_body_bytes: ClassVar[int] = 25 * 1024 * 1024

    models: Mapping[str, ModelTraits]
    model: LanguageModel
    faults: FaultSchedule
    _answering: set[asyncio.Task[web.StreamResponse]] = field(default_factory=set[asyncio.Task[web.StreamResponse]], init=False)

    def application(self) -> web.Application:
        """Return an application that gives every request to `handle`."""
        app = web.Application(client_max_size=self.max_body_bytes)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_shutdown.append(self._stop)
        return app

    @abstractmethod
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Read a request and answer it, in its provider's own words where it fails."""

    @abstractmethod
    def refusal(self, call: CallT, fault: FaultKind | None) -> Exception | web.Response | None:
        """What answers a valid call before the model is asked: an error to raise, or a response; None: nothing does."""

    @abstractmethod
    async def stream(self, exchange: Exchange[CallT], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send the answer piece by piece."""

    @abstractmethod
    async def complete(self, exchange: Exchange[CallT], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send the answer as one document."""

    async def answer(self, request: web.Request, call: CallT, headers: Mapping[str, str]) -> web.StreamResponse:
        """Answer a valid call, with the fault that is due. Raises the error of `refusal`."""
        return await self.answer_with(self.faults.next(), request, call, headers)

    async def answer_with(
        self, fault: FaultKind | None, request: web.Request, call: CallT, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Answer a valid call, with a fault. Raises the error of `refusal`, and `CutStream` where the server dies of it."""
        refused = html_page() if fault == "html" else self.refusal(call, fault)
        if isinstance(refused, Exception):
            raise refused
        if refused is not None:
            return refused
        # To a complete answer, `send_complete` applies cut-stream and malformed.
        within = None if fault in ("cut-stream", "malformed") and not call.stream else fault
        send = self.stream if call.stream else self.complete
        sent = send(Exchange(request, call, headers, fault), generate(self.model, call.generation, within))
        return await self._while_connected(request, sent)

    async def document(
        self,
        request: web.Request,
        fault: FaultKind | None,
        answer: Callable[[], tuple[Json, Mapping[str, str]]],
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """Answer a call that no language model answers, with a fault. `answer` returns a document and its headers.

        Raises the error of `fault_error`, or of `answer`.
        """
        if fault == "html":
            return html_page()
        if error := self.fault_error(fault):
            raise error

        async def sent() -> web.StreamResponse:
            if fault == "slow":
                await asyncio.sleep(SLOW_FIRST_PIECE_S)
            elif fault == "stall":
                await asyncio.get_running_loop().create_future()
            document, more = answer()
            return await send_complete(Exchange(request, None, headers, fault), json.dumps(document).encode(), more)

        return await self._while_connected(request, sent())

    def fault_error(self, fault: FaultKind | None) -> Exception | None:
        """The error of a fault that refuses a call of `document`; None: nothing does."""
        return None

    async def _stop(self, app: web.Application) -> None:
        """End the answers that are being sent. Without this a stalled one would keep the server running."""
        for task in self._answering:
            task.cancel()

    async def _while_connected(
        self, request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]
    ) -> web.StreamResponse:
        """Run `answer`. Stop it, and so the generation, when the client closes the connection."""
        task = asyncio.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        try:
            while not (await asyncio.wait({task}, timeout=_DISCONNECT_POLL_S))[0]:
                if request.transport is None or request.transport.is_closing():
                    break
        finally:
            task.cancel()  # does nothing to a task that is done
            await asyncio.wait({task})
        if task.cancelled() or isinstance(task.exception(), ConnectionError):
            abort(request)  # the client has left, or the server stops within an answer
            return web.Response()
        return task.result()


# aiohttp informs a handler of a lost connection only if the server's runner was set so; polling works under any runner.
_DISCONNECT_POLL_S = 0.05


def abort(request: web.Request) -> None:
    """Close the connection of a request at once."""
    if request.transport is not None:
        request.transport.abort()


async def send_stream(
    exchange: Exchange[Any],
    frames: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    *,
    error_frame: Callable[[UpstreamError], bytes],
    malformed: bytes,
) -> web.StreamResponse:
    """Send each frame when it comes.

    Args:
        headers: What the answer has besides the headers of the exchange.
        error_frame: Makes the frame that reports an error within the stream.
        malformed: The frame that the fault malformed sends.

    Raises:
        UpstreamError: It came before the first frame, so that the status can still report it.
    """
    response = web.StreamResponse(headers={**exchange.headers, **headers})
    try:
        async with aclosing(frames):
            async for frame in frames:
                if not response.prepared:
                    await response.prepare(exchange.request)
                await response.write(frame)
    except CutStream:
        abort(exchange.request)
        return response
    except MalformedAnswer:
        if not response.prepared:
            await response.prepare(exchange.request)
        await response.write(malformed)
    except UpstreamError as error:
        if not response.prepared:
            raise
        await response.write(error_frame(error))
    await response.write_eof()
    return response


async def send_complete(
    exchange: Exchange[Any], body: bytes, headers: Mapping[str, str] | None = None, begun: web.StreamResponse | None = None
) -> web.StreamResponse:
    """Send `body`, which is JSON. The fault malformed sends its first half; cut-stream announces all of it, and closes there.

    Args:
        headers: What the answer has besides the headers of the exchange.
        begun: The response, where white space has already been sent.
    """
    headers = {**exchange.headers, **(headers or {}), "Content-Type": "application/json"}
    sent = body[: len(body) // 2] if exchange.fault in ("cut-stream", "malformed") else body
    if begun is None and exchange.fault != "cut-stream":
        return web.Response(body=sent, headers=headers)
    response = begun or web.StreamResponse(headers=headers)
    if begun is None:
        response.content_length = len(body)
        await response.prepare(exchange.request)
    await response.write(sent)
    if exchange.fault == "cut-stream":
        abort(exchange.request)
    else:
        await response.write_eof()
    return response


def html_page(title: str = "Please sign in to the network", status: int = 200) -> web.Response:
    """Return the answer of the fault html: what a captive portal or a proxy sends in place of the upstream."""
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n</body>\n</html>\n"
    return web.Response(text=page, content_type="text/html", status=status)
