"""Anthropic's Messages API as the local run plays it: POST {base}/v1/messages, complete and streamed.

https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/rate-limits
"""

import json
import logging
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from aiohttp import web

from pulumi_llm_local.upstreams.anthropic import errors, wire
from pulumi_llm_local.upstreams.anthropic.errors import MessagesError
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule
from pulumi_llm_local.upstreams.model import (
    Call,
    Finish,
    GenerationRequest,
    Json,
    LanguageModel,
    ModelTraits,
    Piece,
    UpstreamError,
)
from pulumi_llm_local.upstreams.server import Exchange, UpstreamServer, send_complete, send_stream
from pulumi_llm_local.upstreams.tokens import input_tokens

_log = logging.getLogger(__name__)


def create_app(
    *,
    models: Mapping[str, ModelTraits],
    model: LanguageModel,
    name: str = "anthropic",
    key: str | None = None,
    faults: Sequence[Fault] = (),
) -> web.Application:
    """Return the upstream at any base URL.

    Args:
        models: What each model accepts, by its name. Thinking is allowed where `reasoning` is set.
        model: What generates the answers.
        name: The upstream's name in a fault.
        key: The API key that is valid; None: any key.
        faults: What goes wrong.
    """
    return _MessagesServer(models=models, model=model, faults=FaultSchedule(faults, name), key=key).application()


_VERSIONS = ("2023-06-01", "2023-01-01")


@dataclass(kw_only=True, eq=False)
class _MessagesServer(UpstreamServer[Call]):
    max_body_bytes: ClassVar[int] = 32 * 1024 * 1024

    key: str | None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        request_id = f"req_{uuid.uuid4().hex[:24]}"
        headers = {"request-id": request_id, "anthropic-organization-id": "org-local", **_rate_limits()}
        try:
            return await self._handle(request, headers)
        except MessagesError as error:
            failure = error
        except UpstreamError as error:
            failure = errors.of_model(error)
        except web.HTTPRequestEntityTooLarge:
            failure = MessagesError(413, "Request exceeds the maximum size")
        except Exception:
            _log.exception("the local Anthropic failed")
            failure = errors.failed()
        return web.json_response(failure.body(request_id), status=failure.status, headers={**headers, **failure.headers})

    async def _handle(self, request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        key = request.headers.get("x-api-key", "")
        if not key:
            raise errors.unauthorized("x-api-key header is required")
        if self.key not in (None, key):
            raise errors.unauthorized()
        if request.method != "POST" or not request.path.endswith("/v1/messages"):
            raise MessagesError(404, "Not Found")
        version = request.headers.get("anthropic-version")
        if version is None:
            raise errors.invalid_request("anthropic-version: header is required")
        if version not in _VERSIONS:
            raise errors.invalid_request(f'anthropic-version: "{version}" is not a valid version for this API')
        return await self.answer(request, read_messages(await request.read(), self.models), headers)

    def refusal(self, call: Call, fault: FaultKind | None) -> MessagesError | None:
        return errors.of_fault(fault, call.generation)

    async def stream(self, exchange: Exchange[Call], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        return await send_stream(
            exchange,
            _frames(_events(pieces, exchange.call.generation)),
            {"Content-Type": wire.EVENT_STREAM, "Cache-Control": "no-cache"},
            error_frame=lambda error: wire.frame(errors.of_model(error).body(exchange.headers["request-id"])),
            malformed=b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del\n\n',
        )

    async def complete(self, exchange: Exchange[Call], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        message = wire.render_complete([event async for event in _events(pieces, exchange.call.generation)])
        return await send_complete(exchange, json.dumps(message, ensure_ascii=False).encode())


async def _events(pieces: AsyncGenerator[Piece, None], request: GenerationRequest) -> AsyncGenerator[Json, None]:
    events = wire.MessageEvents(request.model_id, input_tokens(request))
    async with aclosing(pieces):
        async for piece in pieces:
            for event in events.of(_with_stop_sequence(piece, request.stop)):
                yield event


def _with_stop_sequence(piece: Piece, stop: Sequence[str]) -> Piece:
    """Name the stop sequence that ended the answer. Not every model does, but if there is only one, it is that one."""
    if isinstance(piece, Finish) and piece.stop_reason == "stop_sequence" and len(stop) == 1:
        return replace(piece, stop_sequence=stop[0])
    return piece


async def _frames(events: AsyncGenerator[Json, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            yield wire.frame(event)


def _rate_limits() -> dict[str, str]:
    """Return Anthropic's headers. The numbers never change, because the local run itself limits nothing."""
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
