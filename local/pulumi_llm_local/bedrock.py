"""Amazon Bedrock Runtime as the local run plays it: Converse and ConverseStream on the real wire protocol.

boto3 works against it unmodified: signatures are verified, requests are held against botocore's own model of Converse and
against what the model accepts, answers are JSON or an AWS event stream, errors are AWS's. Who answers is a `Model`
(`stand_in_model`, `model_url`); what goes wrong on purpose is a `Fault`.

Not played, and refused by name: images and other media, citations, guardrails, prompt management, prompt caching,
structured output. `additionalModelRequestFields`, `requestMetadata`, `performanceConfig` and `serviceTier` are checked for
their form and change nothing.
"""

import asyncio
import json
import logging
import re
import struct
import time
import uuid
import zlib
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.bedrock_fault import Cut, Fault, FaultKind, FaultSchedule, generate, parse_fault, refusal
from pulumi_llm_local.bedrock_model import (
    BedrockError,
    Block,
    ConverseCall,
    Finish,
    Json,
    Message,
    Model,
    ModelTraits,
    Piece,
    ReasoningBlock,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextBlock,
    TextDelta,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
    ToolUseDelta,
    ToolUseStart,
    internal_error,
    validation_error,
)
from pulumi_llm_local.bedrock_request import converse_input, read_call
from pulumi_llm_local.bedrock_signature import Credentials, verify_signature

__all__ = [
    "BedrockError",
    "Block",
    "ConverseCall",
    "Credentials",
    "Fault",
    "FaultKind",
    "Finish",
    "Json",
    "Message",
    "Model",
    "ModelTraits",
    "Piece",
    "ReasoningBlock",
    "ReasoningDelta",
    "SignatureDelta",
    "StopReason",
    "TextBlock",
    "TextDelta",
    "Tool",
    "ToolResultBlock",
    "ToolUseBlock",
    "ToolUseDelta",
    "ToolUseStart",
    "create_app",
    "event_message",
    "parse_fault",
    "validation_error",
]

_log = logging.getLogger(__name__)


def create_app(
    *,
    region: str,
    credentials: Credentials,
    models: Mapping[str, ModelTraits],
    model: Model,
    faults: Sequence[Fault] = (),
) -> web.Application:
    """Bedrock Runtime of one region for one pair of keys.

    `models` maps all that may stand in the path (a model id, an inference profile's id, an ARN) to what that model accepts.
    """
    converse_input()  # read now rather than while the first request waits
    runtime = _Runtime(region, credentials, models, model, FaultSchedule(faults))
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", runtime.handle)
    app.on_shutdown.append(runtime.stop)
    return app


_MAX_BODY_BYTES = 25 * 1024 * 1024
_OPERATION = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream)")


class _Runtime:
    def __init__(
        self,
        region: str,
        credentials: Credentials,
        models: Mapping[str, ModelTraits],
        model: Model,
        faults: FaultSchedule,
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._models = models
        self._model = model
        self._faults = faults
        self._answering: set[asyncio.Task[web.StreamResponse]] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        try:
            return await self._handle(request, headers)
        except BedrockError as error:
            failure = error
        except web.HTTPRequestEntityTooLarge:
            failure = BedrockError(
                413, "RequestEntityTooLargeException", f"The request body is larger than {_MAX_BODY_BYTES:,} bytes."
            )
        except Exception:
            _log.exception("the local Bedrock failed")
            failure = internal_error()
        headers["x-amzn-ErrorType"] = failure.code
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    async def stop(self, app: web.Application) -> None:
        """End the answers under way (a stalled one would hold the server for ever)."""
        for task in self._answering:
            task.cancel()

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        verify_signature(request, body, self._region, self._credentials)
        path = _OPERATION.fullmatch(request.raw_path.partition("?")[0])
        if request.method != "POST" or path is None:
            raise BedrockError(
                404, "UnknownOperationException", f"{request.method} {request.raw_path}: only Converse is played here"
            )
        call = read_call(unquote(path["model"]), body, self._models)
        fault = self._faults.next()
        refused = refusal(fault)
        if refused is not None:
            raise refused
        if path["operation"] == "converse-stream":
            answer = _send_stream(request, _events(generate(self._model, call, fault), started), headers)
        else:
            cut = fault == "cut-stream"  # is done to the body, not to the generation
            events = _events(generate(self._model, call, None if cut else fault), started)
            answer = _send_whole(request, events, headers, cut=cut)
        return await self._while_connected(request, answer)

    async def _while_connected(
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
            _abort(request)  # the client has gone, or the server stops in the middle of an answer
            return web.Response()
        return task.result()


# aiohttp tells a handler of a lost connection only where the server's runner was set so; looking works under any runner.
_DISCONNECT_POLL_S = 0.05


# The answer on the wire.

_Event = tuple[str, Json]


async def _events(pieces: AsyncGenerator[Piece, None], started: float) -> AsyncGenerator[_Event, None]:
    """The events of ConverseStream, each named; as with Bedrock only a tool call has a contentBlockStart."""
    index, block = -1, ""
    async with aclosing(pieces):
        async for piece in pieces:
            if not block:
                yield "messageStart", {"role": "assistant"}
            name, delta = _delta(piece)
            if name != block or isinstance(piece, ToolUseStart):
                if index >= 0:
                    yield "contentBlockStop", {"contentBlockIndex": index}
                index, block = index + 1, name
            match piece:
                case ToolUseStart():
                    start = {"toolUse": {"toolUseId": piece.id, "name": piece.name}}
                    yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
                case Finish():
                    yield "messageStop", {"stopReason": piece.stop_reason}
                    tokens = {"inputTokens": piece.input_tokens, "outputTokens": piece.output_tokens}
                    tokens["totalTokens"] = piece.input_tokens + piece.output_tokens
                    latency_ms = round((time.monotonic() - started) * 1000)
                    yield "metadata", {"usage": tokens, "metrics": {"latencyMs": latency_ms}}
                case _:
                    yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def _delta(piece: Piece) -> tuple[str, Json]:
    """The kind of block that the piece belongs to, and what it adds to it."""
    match piece:
        case TextDelta():
            return "text", {"text": piece.text}
        case ReasoningDelta():
            return "reasoningContent", {"reasoningContent": {"text": piece.text}}
        case SignatureDelta():
            return "reasoningContent", {"reasoningContent": {"signature": piece.signature}}
        case ToolUseStart():
            return "toolUse", {}
        case Finish():
            return "none", {}
        case ToolUseDelta():
            return "toolUse", {"toolUse": {"input": piece.input}}


async def _send_stream(
    request: web.Request, events: AsyncGenerator[_Event, None], headers: dict[str, str]
) -> web.StreamResponse:
    """Write each event as it comes. The status waits for the first, so that an error before it is an HTTP error."""
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/vnd.amazon.eventstream"})
    try:
        async with aclosing(events):
            async for name, payload in events:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(event_message("event", name, payload))
    except Cut:
        _abort(request)
        return response
    except BedrockError as error:
        if not response.prepared:
            raise _outside_a_stream(error) from error
        name, payload = _stream_exception(error)
        await response.write(event_message("exception", name, payload))
    await response.write_eof()
    return response


async def _send_whole(
    request: web.Request, events: AsyncGenerator[_Event, None], headers: dict[str, str], *, cut: bool
) -> web.StreamResponse:
    try:
        body = json.dumps(await _whole(events)).encode()
    except BedrockError as error:
        raise _outside_a_stream(error) from error
    if not cut:
        return web.Response(body=body, content_type="application/json", headers=headers)
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _abort(request)
    return response


async def _whole(events: AsyncGenerator[_Event, None]) -> Json:
    """The answer of Converse, put together from the events of ConverseStream."""
    answer: Json = {}
    blocks: dict[int, Json] = {}
    async for name, payload in events:
        if name == "contentBlockStart":
            blocks[payload["contentBlockIndex"]] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            _extend(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
        elif name in ("messageStop", "metadata"):
            answer.update(payload)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = _tool_input(block["toolUse"]["input"])
    return {"output": {"message": {"role": "assistant", "content": list(blocks.values())}}, **answer}


def _extend(block: Json, delta: Json) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        reasoning = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for key, text in delta["reasoningContent"].items():
            reasoning[key] = reasoning.get(key, "") + text


def _tool_input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # maxTokens cut the input short
        return {}


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


# The exceptions that ConverseStreamOutput models; another one becomes the model's stream error.
_STREAM_EXCEPTIONS = frozenset(
    {
        "InternalServerException",
        "ModelStreamErrorException",
        "ValidationException",
        "ThrottlingException",
        "ServiceUnavailableException",
    }
)


def _outside_a_stream(error: BedrockError) -> BedrockError:
    if error.code == "ModelStreamErrorException":
        return BedrockError(424, "ModelErrorException", error.message)
    return error


def _stream_exception(error: BedrockError) -> _Event:
    code = error.code if error.code in _STREAM_EXCEPTIONS else "ModelStreamErrorException"
    payload: Json = {"message": error.message}
    if code == "ModelStreamErrorException":
        payload |= {"originalStatusCode": error.status, "originalMessage": error.message}
    return code[0].lower() + code[1:], payload


def event_message(kind: Literal["event", "exception"], name: str, payload: Json) -> bytes:
    """One message of application/vnd.amazon.eventstream: prelude, its CRC, headers, payload, the message's CRC."""
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", _STRING_HEADER, len(value)) + value.encode()
        for key, value in ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", _FRAME_BYTES + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


_STRING_HEADER = 7
_FRAME_BYTES = 16  # two lengths and two CRCs
