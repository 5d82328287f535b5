"""Amazon Bedrock Runtime as the local run plays it, on the real wire protocol.

Converse and ConverseStream serve every model that chats. InvokeModel and InvokeModelWithResponseStream serve imported models,
in the format of OpenAI's chat completions (`invoke`), and InvokeModel the models of embeddings (`embeddings`). ApplyGuardrail
serves the guardrails of the program (`guardrails`).

boto3 works with it unchanged: signatures are verified, requests are checked against botocore's own model of Converse and
against what the model accepts, answers are JSON or an AWS event stream, errors are AWS's.

Not played, and refused by name: audio and video, citations, guardrails within Converse, prompt management.
Of `additionalModelRequestFields`, Claude's thinking is played. The others, `requestMetadata`, `performanceConfig` and
`serviceTier` are checked for their form and change nothing.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature
from pulumi_llm_local.upstreams.bedrock import embeddings, errors, guardrails, invoke, wire
from pulumi_llm_local.upstreams.bedrock.converse_request import converse_input, read_converse
from pulumi_llm_local.upstreams.bedrock.errors import BedrockError
from pulumi_llm_local.upstreams.bedrock.guardrails import GuardrailRules
from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule
from pulumi_llm_local.upstreams.model import Call, LanguageModel, ModelTraits, Piece, UpstreamError
from pulumi_llm_local.upstreams.server import Exchange, UpstreamServer, send_complete, send_stream
from pulumi_llm_local.upstreams.tokens import exceeds_context

_log = logging.getLogger(__name__)


def create_app(
    *,
    region: str,
    credentials: Credentials,
    models: Mapping[str, ModelTraits],
    model: LanguageModel,
    faults: Sequence[Fault] = (),
    guardrails: Mapping[tuple[str, str], GuardrailRules] | None = None,
) -> web.Application:
    """Return Bedrock Runtime of one region.

    Args:
        region: The region that a signature must name.
        credentials: The one pair of keys that is valid.
        models: What each model accepts, by all that may stand in the path: a model id, an inference profile's id, an ARN.
        model: What generates the answers.
        faults: What goes wrong. Their name for this upstream is "bedrock".
        guardrails: What each guardrail looks for, by its id or ARN and its version.
    """
    converse_input()  # read now, so that the first request does not wait for it
    schedule = FaultSchedule(faults, "bedrock")
    runtime = _Runtime(
        models=models, model=model, faults=schedule, region=region, credentials=credentials, guardrails=guardrails or {}
    )
    return runtime.application()


_OPERATION = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream|invoke|invoke-with-response-stream)")


@dataclass(frozen=True)
class _Asked(Call):
    """A request to be answered. `started` is its time of arrival on the monotonic clock, in seconds."""

    invoked: bool
    started: float

    @property
    def latency_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


@dataclass(kw_only=True, eq=False)
class _Runtime(UpstreamServer[_Asked]):
    region: str
    credentials: Credentials
    guardrails: Mapping[tuple[str, str], GuardrailRules]

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
                413, "RequestEntityTooLargeException", f"The request body is larger than {self.max_body_bytes:,} bytes."
            )
        except Exception:
            _log.exception("the local Bedrock failed")
            failure = errors.internal_error()
        headers["x-amzn-ErrorType"] = failure.code
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        try:
            verify_signature(request, body, self.region, self.credentials)
        except SignatureError as error:
            raise BedrockError(403, error.code, error.message) from error
        if request.method == "POST" and (applied := guardrails.OPERATION.fullmatch(request.raw_path.partition("?")[0])):
            name = unquote(applied["guardrail"]), unquote(applied["version"])
            return await self.document(request, None, lambda: guardrails.apply(self.guardrails, *name, body), headers)
        path = _OPERATION.fullmatch(request.raw_path.partition("?")[0])
        if request.method != "POST" or path is None:
            raise BedrockError(
                404,
                "UnknownOperationException",
                f"{request.method} {request.raw_path}: only Converse, ConverseStream, InvokeModel, "
                "InvokeModelWithResponseStream and ApplyGuardrail are played here",
            )
        model_id, operation = unquote(path["model"]), path["operation"]
        traits = self.models.get(model_id)
        if traits is not None and traits.embedding not in ("", "openai"):
            if operation != "invoke":
                raise errors.validation_error("The model is unsupported for this operation.")
            family = traits.embedding
            return await self.document(request, self.faults.next(), lambda: embeddings.invoke(family, body), headers)
        invoked = operation.startswith("invoke")
        read = invoke.read_invoke if invoked else read_converse
        asked = _Asked(read(model_id, body, self.models), operation.endswith("stream"), invoked, started)
        return await self.answer(request, asked, headers)

    def refusal(self, call: _Asked, fault: FaultKind | None) -> BedrockError | None:
        return errors.of_fault(fault) or (errors.too_long() if exceeds_context(call.generation) else None)

    def fault_error(self, fault: FaultKind | None) -> BedrockError | None:
        return errors.of_fault(fault)

    async def stream(self, exchange: Exchange[_Asked], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        asked = exchange.call
        headers = {"Content-Type": wire.EVENT_STREAM}
        if asked.invoked:
            headers["X-Amzn-Bedrock-Content-Type"] = "application/json"
        return await send_stream(
            exchange,
            invoke.frames(pieces, asked.generation, asked.started) if asked.invoked else _frames(pieces, asked),
            headers,
            error_frame=lambda error: wire.exception_message(errors.of_model(error)),
            malformed=invoke.MALFORMED_CHUNK if asked.invoked else _MALFORMED_EVENT,
        )

    async def complete(self, exchange: Exchange[_Asked], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        asked = exchange.call
        if asked.invoked:
            answer, measured = await invoke.complete(pieces, asked.generation, asked.started)
            return await send_complete(exchange, json.dumps(answer).encode(), measured)
        answer = wire.render_complete([event async for event in _events(pieces, asked)])
        return await send_complete(exchange, json.dumps(answer).encode())


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
