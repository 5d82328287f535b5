"""The HTTP server that the stand-ins share: it stops when the client leaves, and applies faults to the bytes that it sends."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web

from pulumi_llm_local.upstreams.fault import CutStream, FaultKind, MalformedAnswer
from pulumi_llm_local.upstreams.model import UpstreamError


class Connections:
    """The answers that are being sent."""

    def __init__(self) -> None:
        self._answering: set[asyncio.Task[web.StreamResponse]] = set()

    async def stop(self, app: web.Application) -> None:
        """End these answers. Without this a stalled one would keep the server running."""
        for task in self._answering:
            task.cancel()

    async def while_connected(
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
            _abort(request)  # the client has left, or the server stops within an answer
            return web.Response()
        return task.result()


# aiohttp informs a handler of a lost connection only if the server's runner was set so; polling works under any runner.
_DISCONNECT_POLL_S = 0.05


def application(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], connections: Connections, max_body_bytes: int
) -> web.Application:
    """Return an application that gives every request to `handle`."""
    app = web.Application(client_max_size=max_body_bytes)
    app.router.add_route("*", "/{path:.*}", handle)
    app.on_shutdown.append(connections.stop)
    return app


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def send_stream(
    request: web.Request,
    frames: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    *,
    error_frame: Callable[[UpstreamError], bytes],
    malformed: bytes,
) -> web.StreamResponse:
    """Send each frame when it comes.

    Args:
        error_frame: Makes the frame that reports an error within the stream.
        malformed: The frame that the fault malformed sends.

    Raises:
        UpstreamError: It came before the first frame, so that the status can still report it.
    """
    response = web.StreamResponse(headers=headers)
    try:
        async with aclosing(frames):
            async for frame in frames:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(frame)
    except CutStream:
        _abort(request)
        return response
    except MalformedAnswer:
        if not response.prepared:
            await response.prepare(request)
        await response.write(malformed)
    except UpstreamError as error:
        if not response.prepared:
            raise
        await response.write(error_frame(error))
    await response.write_eof()
    return response


def within_generation(fault: FaultKind | None) -> FaultKind | None:
    """Return the fault to apply to the generation of a complete answer. `send_complete` applies cut-stream and malformed."""
    return None if fault in ("cut-stream", "malformed") else fault


async def send_complete(
    request: web.Request,
    body: bytes,
    headers: Mapping[str, str],
    fault: FaultKind | None,
    begun: web.StreamResponse | None = None,
) -> web.StreamResponse:
    """Send `body`, which is JSON.

    Args:
        fault: malformed sends only the first half of the body; cut-stream announces all of it, and closes after the half.
        begun: The response, where white space has already been sent.
    """
    headers = {**headers, "Content-Type": "application/json"}
    sent = body[: len(body) // 2] if fault in ("cut-stream", "malformed") else body
    if begun is None and fault != "cut-stream":
        return web.Response(body=sent, headers=headers)
    response = begun or web.StreamResponse(headers=headers)
    if begun is None:
        response.content_length = len(body)
        await response.prepare(request)
    await response.write(sent)
    if fault == "cut-stream":
        _abort(request)
    else:
        await response.write_eof()
    return response


def html_page(title: str = "Please sign in to the network", status: int = 200) -> web.Response:
    """Return the answer of the fault html: what a captive portal or a proxy sends in place of the upstream."""
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n</body>\n</html>\n"
    return web.Response(text=page, content_type="text/html", status=status)
