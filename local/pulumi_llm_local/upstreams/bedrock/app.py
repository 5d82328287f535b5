"""Amazon Bedrock Runtime as the local run plays it, on the real wire protocol.

Converse and ConverseStream serve every model. InvokeModel and InvokeModelWithResponseStream serve imported models only, in the
format of OpenAI's chat completions (`invoke`).

boto3 works with it unchanged: signatures are verified, requests are checked against botocore's own model of Converse and
against what the model accepts, answers are JSON or an AWS event stream, errors are AWS's.

Not played, and refused by name: images and other media, citations, guardrails, prompt management, prompt caching,
structured output. `additionalModelRequestFields`, `requestMetadata`, `performanceConfig` and `serviceTier` are checked for
their form and change nothing.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature
from pulumi_llm_local.upstreams.bedrock import errors, invoke, wire
from pulumi_llm_local.upstreams.bedrock.converse_request import converse_input, read_converse
from pulumi_llm_local.upstreams.bedrock.errors import BedrockError
from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule, generate
from pulumi_llm_local.upstreams.model import GenerationRequest, LanguageModel, ModelTraits, Piece, UpstreamError
from pulumi_llm_local.upstreams.server import (
    Connections,
    application,
    html_page,
    send_complete,
    send_stream,
    within_generation,
)
from pulumi_llm_local.upstreams.tokens import exceeds_context

_log = logging.getLogger(__name__)


def create_app(
    *,
    region: str,
    credentials: Credentials,
    models: Mapping[str, ModelTraits],
    model: LanguageModel,
    faults: Sequence[Fault] = (),
) -> web.Application:
    """Return Bedrock Runtime of one region.

    Args:
        region: The region that a signature must name.
        credentials: The one pair of keys that is valid.
        models: What each model accepts, by all that may stand in the path: a model id, an inference profile's id, an ARN.
        model: What generates the answers.
        faults: What goes wrong. Their name for this upstream is "bedrock".
    """
    converse_input()  # read now, so that the first request does not wait for it
    runtime = _Runtime(region, credentials, models, model, FaultSchedule(faults, "bedrock"))
    return application(runtime.handle, runtime.connections, _MAX_BODY_BYTES)


_MAX_BODY_BYTES = 25 * 1024 * 1024
_OPERATION = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream|invoke|invoke-with-response-stream)")


class _Asked(NamedTuple):
    """A request to be answered. `started` is its time of arrival on the monotonic clock, in seconds."""

    generation: GenerationRequest
    invoked: bool
    started: float
    fault: FaultKind | None

    @property
    def latency_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


class _Runtime:
    def __init__(
        self,
        region: str,
        credentials: Credentials,
        models: Mapping[str, ModelTraits],
        model: LanguageModel,
        faults: FaultSchedule,
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._models = models
        self._model = model
        self._faults = faults
        self.connections = Connections()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        try:
            return await self._handle(request, headers)
        except BedrockError as error:
            failure = error
        except UpstreamError as error:
            failure = errors.of_model(error)
        except web.HTTPRequestEntityTooLarge:
            failure = BedrockError(
                413, "RequestEntityTooLargeException", f"The request body is larger than {_MAX_BODY_BYTES:,} bytes."
            )
        except Exception:
            _log.exception("the local Bedrock failed")
            failure = errors.internal_error()
        status, own, body = wire.error_response(failure)
        return web.json_response(body, status=status, headers={**headers, **own})

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        try:
            verify_signature(request, body, self._region, self._credentials)
        except SignatureError as error:
            raise BedrockError(403, error.code, error.message) from error
        path = _OPERATION.fullmatch(request.raw_path.partition("?")[0])
        if request.method != "POST" or path is None:
            raise BedrockError(
                404,
                "UnknownOperationException",
                f"{request.method} {request.raw_path}: only Converse, ConverseStream, InvokeModel and "
                "InvokeModelWithResponseStream are played here",
            )
        model_id, operation = unquote(path["model"]), path["operation"]
        invoked = operation.startswith("invoke")
        read = invoke.read_invoke if invoked else read_converse
        asked = _Asked(read(model_id, body, self._models), invoked, started, self._faults.next())
        if asked.fault == "html":
            return html_page()
        refusal = errors.of_fault(asked.fault) or (errors.too_long() if exceeds_context(asked.generation) else None)
        if refusal is not None:
            raise refusal
        send = self._send_stream if operation.endswith("stream") else self._send_complete
        return await self.connections.while_connected(request, send(request, asked, headers))

    async def _send_stream(self, request: web.Request, asked: _Asked, headers: Mapping[str, str]) -> web.StreamResponse:
        pieces = generate(self._model, asked.generation, asked.fault)
        headers = {**headers, "Content-Type": wire.EVENT_STREAM}
        if asked.invoked:
            headers["X-Amzn-Bedrock-Content-Type"] = "application/json"
        return await send_stream(
            request,
            invoke.frames(pieces, asked.generation, asked.started) if asked.invoked else _frames(pieces, asked),
            headers,
            error_frame=lambda error: wire.exception_message(errors.of_model(error)),
            malformed=invoke.MALFORMED_CHUNK if asked.invoked else _MALFORMED_EVENT,
        )

    async def _send_complete(self, request: web.Request, asked: _Asked, headers: Mapping[str, str]) -> web.StreamResponse:
        pieces = generate(self._model, asked.generation, within_generation(asked.fault))
        if asked.invoked:
            answer, measured = await invoke.complete(pieces, asked.generation, asked.started)
            headers = {**headers, **measured}
        else:
            answer = wire.render_complete([event async for event in _events(pieces, asked)])
        return await send_complete(request, json.dumps(answer).encode(), headers, asked.fault)


_MALFORMED_EVENT = wire.raw_message("event", "contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {"te')


async def _events(pieces: AsyncGenerator[Piece, None], asked: _Asked) -> AsyncGenerator[wire.Event, None]:
    events = wire.ConverseEvents()
    async with aclosing(pieces):
        async for piece in pieces:
            for event in events.of(piece, asked.latency_ms):
                yield event


async def _frames(pieces: AsyncGenerator[Piece, None], asked: _Asked) -> AsyncGenerator[bytes, None]:
    async with aclosing(_events(pieces, asked)) as events:
        async for name, payload in events:
            yield wire.event_message(name, payload)
