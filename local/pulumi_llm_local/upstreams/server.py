"""What every upstream of the local run does alike: it stops with its client, and does the faults to what it sends."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from aiohttp import web

from pulumi_llm_local.upstreams.fault import FaultKind
from pulumi_llm_local.upstreams.faulty import Cut, Malformed
from pulumi_llm_local.upstreams.model import BedrockError, ConverseCall
from pulumi_llm_local.upstreams.tokens import input_tokens


class Connections:
    """The answers under way."""

    def __init__(self) -> None:
        self._answering: set[asyncio.Task[web.StreamResponse]] = set()

    async def stop(self, app: web.Application) -> None:
        """End the answers under way (a stalled one would hold the server for ever)."""
        for task in self._answering:
            task.cancel()

    async def while_connected(
        self, request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]
    ) -> web.StreamResponse:
        """Run `answer`; stop it, and with it the generation, as soon as the client has gone."""
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
            abort(request)  # the client has gone, or the server stops in the middle of an answer
            return web.Response()
        return task.result()


# aiohttp tells a handler of a lost connection only where the server's runner was set so; looking works under any runner.
_DISCONNECT_POLL_S = 0.05


def abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def send_stream(
    request: web.Request,
    frames: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    *,
    failed: Callable[[BedrockError], bytes],
    malformed: bytes,
) -> web.StreamResponse:
    """Write each frame as it comes. `failed` says an error within the stream, `malformed` is the fault of that name.

    Raises the `BedrockError` that comes before the first frame, for the status has waited for that one.
    """
    response = web.StreamResponse(headers=headers)
    try:
        async with aclosing(frames):
            async for frame in frames:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(frame)
    except Cut:
        abort(request)
        return response
    except Malformed:
        if not response.prepared:
            await response.prepare(request)
        await response.write(malformed)
    except BedrockError as error:
        if not response.prepared:
            raise
        await response.write(failed(error))
    await response.write_eof()
    return response


def within_generation(fault: FaultKind | None) -> FaultKind | None:
    """The fault as the generation of a whole answer has it: these two are done to the body instead (`send_whole`)."""
    return None if fault in ("cut-stream", "malformed") else fault


async def send_whole(
    request: web.Request,
    body: bytes,
    headers: Mapping[str, str],
    fault: FaultKind | None,
    begun: web.StreamResponse | None = None,
) -> web.StreamResponse:
    """Send `body`, JSON; under malformed only its first half, under cut-stream no more than that of what was promised.

    `begun` is the response where white space has been sent already.
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
        abort(request)
    else:
        await response.write_eof()
    return response


def html_page(title: str = "Please sign in to the network", status: int = 200) -> web.Response:
    """The fault html: what a captive portal or a proxy answers in the upstream's place."""
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n</body>\n</html>\n"
    return web.Response(text=page, content_type="text/html", status=status)


def exceeds_context(call: ConverseCall) -> bool:
    """Whether the request, counted as the stand-in counts, and the answer that it asks for do not fit the model's context."""
    limit = call.traits.context_tokens
    return limit is not None and input_tokens(call) + (call.max_tokens or 0) > limit


def exceeded_context(call: ConverseCall) -> tuple[int, int]:
    """The context's size and the request's, in tokens, as an error of a request that is too long states them.

    Of a request that does fit, as under the fault context, it states one token too many.
    """
    tokens = input_tokens(call)
    limit = call.traits.context_tokens or _CONTEXT_TOKENS
    return limit, tokens if exceeds_context(call) else limit + 1


_CONTEXT_TOKENS = 131_072
