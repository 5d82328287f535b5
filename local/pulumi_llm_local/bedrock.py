"""Amazon Bedrock Runtime as the local run plays it: Converse and ConverseStream on the real wire protocol.

boto3 works against it unmodified: signatures are verified, requests are held against botocore's own model of Converse and
against what the model accepts, answers are JSON or an AWS event stream, errors are AWS's. Who answers is a `Model`
(`stand_in_model`, `model_url`); what goes wrong on purpose is a `Fault`.

Not played, and refused by name: images and other media, citations, guardrails, prompt management, prompt caching,
structured output. `additionalModelRequestFields`, `requestMetadata`, `performanceConfig` and `serviceTier` are checked for
their form and change nothing.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import struct
import time
import uuid
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import Any, Literal, Protocol, cast, get_args
from urllib.parse import unquote

from aiohttp import web

_log = logging.getLogger(__name__)

# A call, as a model is asked.

Json = dict[str, Any]


@dataclass(frozen=True)
class ModelTraits:
    """What one model accepts; anything else is a ValidationException.

    `accepts` holds any of max_tokens, temperature, top_p, stop, system and tools; of those in `exclusive` at most one may be
    given. `reasoning`: the model shows its reasoning. `max_output_tokens` bounds maxTokens, and stands for it when absent.
    """

    accepts: frozenset[str]
    exclusive: frozenset[str] = frozenset()
    reasoning: bool = False
    max_output_tokens: int = 4096


@dataclass(frozen=True)
class TextBlock:
    text: str


@dataclass(frozen=True)
class ReasoningBlock:
    text: str


@dataclass(frozen=True)
class ToolUseBlock:
    """A tool call that the model made."""

    id: str
    name: str
    input: Json


@dataclass(frozen=True)
class ToolResultBlock:
    """What the tool answered to call `id`; JSON results stand in `text` as JSON."""

    id: str
    text: str
    error: bool = False


Block = TextBlock | ReasoningBlock | ToolUseBlock | ToolResultBlock


@dataclass(frozen=True)
class Message:
    role: Literal["user", "assistant"]
    content: tuple[Block, ...]


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    schema: Json


@dataclass(frozen=True)
class ConverseCall:
    """A valid request. `tool_choice` is auto, any, or tool, which means the one that `tool_name` names. None: not given."""

    model_id: str
    traits: ModelTraits
    messages: tuple[Message, ...]
    system: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["auto", "any", "tool"] = "auto"
    tool_name: str = ""


# An answer, as a model gives it piece by piece.

StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filtered"]


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True)
class SignatureDelta:
    """Ends the reasoning: what some models want back together with it."""

    signature: str


@dataclass(frozen=True)
class ToolUseStart:
    id: str
    name: str


@dataclass(frozen=True)
class ToolUseDelta:
    """A piece of the JSON text that is the input of the call begun last."""

    input: str


@dataclass(frozen=True)
class Finish:
    """The last piece of every answer."""

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int


Piece = TextDelta | ReasoningDelta | SignatureDelta | ToolUseStart | ToolUseDelta | Finish


class Model(Protocol):
    """Who answers. A `BedrockError` that it raises reaches the caller as it is; closing the iterator stops it."""

    def generate(self, call: ConverseCall) -> AsyncIterator[Piece]: ...


class BedrockError(Exception):
    """An error as AWS sends it: the HTTP status, the exception's name and its message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def validation_error(message: str) -> BedrockError:
    return BedrockError(400, "ValidationException", message)


# What goes wrong on purpose.

FaultKind = Literal["throttle", "not-ready", "500", "503", "slow", "stall", "cut-stream", "stream-error"]

SLOW_FIRST_PIECE_S = 3.0
SLOW_PIECE_S = 0.2
_PIECES_BEFORE_FAULT = 3


@dataclass(frozen=True)
class Fault:
    """`rate` of the requests (0 to 1) fail as `kind` says, spread evenly: 0.3 hits 3 of every 10 valid requests.

    Of several faults that are due at once one is done now and the others with the next requests.
    """

    kind: FaultKind
    rate: float = 1.0


def parse_fault(text: str) -> Fault:
    """Read KIND or KIND:RATE. Raises `ValueError`."""
    kind, colon, rate_text = text.partition(":")
    kinds = get_args(FaultKind)
    if kind not in kinds:
        raise ValueError(f"{text!r}: there is no fault {kind!r}; choose one of {', '.join(kinds)}")
    try:
        rate = float(rate_text) if colon else 1.0
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r}: a fault's rate is a number from 0 to 1, as in {kind}:0.3")
    return Fault(cast(FaultKind, kind), rate)


# The server.


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str


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
    _converse_input()  # read now rather than while the first request waits
    runtime = _Runtime(region, credentials, models, model, _FaultSchedule(faults))
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
        faults: "_FaultSchedule",
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
            failure = _internal_error()
        headers["x-amzn-ErrorType"] = failure.code
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    async def stop(self, app: web.Application) -> None:
        """End the answers under way (a stalled one would hold the server for ever)."""
        for task in self._answering:
            task.cancel()

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        _verify_signature(request, body, self._region, self._credentials)
        path = _OPERATION.fullmatch(request.raw_path.partition("?")[0])
        if request.method != "POST" or path is None:
            raise BedrockError(
                404, "UnknownOperationException", f"{request.method} {request.raw_path}: only Converse is played here"
            )
        call = _read_call(unquote(path["model"]), body, self._models)
        fault = self._faults.next()
        if fault in _REFUSALS:
            raise BedrockError(*_REFUSALS[fault])
        if path["operation"] == "converse-stream":
            answer = _send_stream(request, _events(_generate(self._model, call, fault), started), headers)
        else:
            cut = fault == "cut-stream"  # is done to the body, not to the generation
            events = _events(_generate(self._model, call, None if cut else fault), started)
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


class _Cut(Exception):
    """The fault cut-stream: the connection is to be closed now."""


async def _generate(model: Model, call: ConverseCall, fault: FaultKind | None) -> AsyncGenerator[Piece, None]:
    """The model's pieces, with `fault` done to them. A failure that is no `BedrockError` becomes InternalServerException."""
    pieces = model.generate(call)
    count = 0
    try:
        async for piece in pieces:
            if fault == "slow":
                await asyncio.sleep(SLOW_PIECE_S if count else SLOW_FIRST_PIECE_S)
            elif fault is not None and (count == _PIECES_BEFORE_FAULT or isinstance(piece, Finish)):
                await _fail_midway(fault)
            count += 1
            yield piece
            if isinstance(piece, Finish):
                return
        raise RuntimeError("the model ended without a Finish")
    except (BedrockError, _Cut):
        raise
    except Exception as error:
        _log.exception("the model failed")
        raise _internal_error() from error
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _fail_midway(fault: FaultKind) -> None:
    if fault == "stall":
        await asyncio.get_running_loop().create_future()
    if fault == "cut-stream":
        raise _Cut
    if fault == "stream-error":
        raise BedrockError(424, "ModelStreamErrorException", "The model failed while it was answering (injected fault).")


_INTERNAL = "The system encountered an unexpected error during processing. Try your request again."
_REFUSALS: dict[FaultKind | None, tuple[int, str, str]] = {
    "throttle": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "not-ready": (429, "ModelNotReadyException", "Model is not ready for inference. Wait and try your request again."),
    "500": (500, "InternalServerException", _INTERNAL),
    "503": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
}


def _internal_error() -> BedrockError:
    return BedrockError(500, "InternalServerException", _INTERNAL)


class _FaultSchedule:
    """Which request fails how: each fault's rate is saved up, request by request, until a whole failure is due."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._due = [Fraction(0) for _ in faults]

    def next(self) -> FaultKind | None:
        if not self._faults:
            return None
        for index, fault in enumerate(self._faults):
            self._due[index] += Fraction(str(fault.rate))
        most = max(range(len(self._due)), key=self._due.__getitem__)
        if self._due[most] < 1:
            return None
        self._due[most] -= 1
        return self._faults[most].kind


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
    except _Cut:
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


# Signatures (AWS Signature Version 4, service "bedrock").

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "bedrock"
_CLOCK_SKEW = timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def _verify_signature(request: web.Request, body: bytes, region: str, credentials: Credentials) -> None:
    """Raises the error that AWS gives for a request that these credentials did not sign for this region just now."""
    authorization = request.headers.get("Authorization", "")
    if not authorization.startswith(_ALGORITHM):
        raise BedrockError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = _AUTHORIZATION.fullmatch(authorization)
    timestamp = request.headers.get("X-Amz-Date", "")
    signed_at = _signing_time(timestamp)
    if scope is None or signed_at is None:
        raise BedrockError(
            403,
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters, and the request an "
            f"'X-Amz-Date' header. Authorization={authorization.partition('Signature=')[0]}",
        )
    if scope["key"] != credentials.access_key:
        message = "The security token included in the request is invalid."
        raise BedrockError(403, "UnrecognizedClientException", message)
    if scope["service"] != _SERVICE:
        raise _invalid_signature(f"Credential should be scoped to correct service: '{_SERVICE}'.")
    if scope["region"] != region:
        raise _invalid_signature(f"Credential should be scoped to a valid region, not '{scope['region']}'.")
    now = datetime.now(UTC)
    if abs(now - signed_at) > _CLOCK_SKEW or scope["date"] != timestamp[:8]:
        what = "Signature expired" if signed_at < now else "Signature not yet current"
        raise _invalid_signature(f"{what}: {timestamp} is not within 15 min. of {now:%Y%m%dT%H%M%SZ}")
    signed_headers = scope["headers"].split(";")
    required = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-amz-"))}
    for name in sorted(required - set(signed_headers)):
        raise _invalid_signature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    if not hmac.compare_digest(scope["signature"], _signature(request, body, region, credentials, signed_headers)):
        raise _invalid_signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
            "Key and signing method. Consult the service documentation for details."
        )
    payload_hash = request.headers.get("X-Amz-Content-SHA256")
    if payload_hash not in (None, hashlib.sha256(body).hexdigest()):
        raise _invalid_signature("The value of x-amz-content-sha256 is not the SHA-256 of the request's body.")


def _invalid_signature(message: str) -> BedrockError:
    return BedrockError(403, "InvalidSignatureException", message)


def _signing_time(timestamp: str) -> datetime | None:
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _signature(request: web.Request, body: bytes, region: str, credentials: Credentials, signed_headers: Sequence[str]) -> str:
    """What botocore's own signer makes of the request as it arrived, its path as it stood on the wire."""
    headers = _botocore("compat").HTTPHeaders()
    for name in signed_headers:
        for value in request.headers.getall(name, []):
            headers[name] = value

    def headers_to_sign(_request: object) -> Any:
        return headers  # a client may sign others than botocore would

    keys = _botocore("credentials").Credentials(credentials.access_key, credentials.secret_key)
    auth = _botocore("auth").SigV4Auth(keys, _SERVICE, region)
    auth.headers_to_sign = headers_to_sign
    unsigned = _botocore("awsrequest").AWSRequest(request.method, f"http://host{request.raw_path}", data=body)
    unsigned.context["timestamp"] = request.headers["X-Amz-Date"]
    return cast(str, auth.signature(auth.string_to_sign(unsigned, auth.canonical_request(unsigned)), unsigned))


def _botocore(module: str) -> Any:
    """botocore carries no types, so what comes from it is named and typed where it is used."""
    return import_module(f"botocore.{module}")


# Requests: first their form, then the rules of a conversation, then what the model accepts.


def _read_call(model_id: str, body: bytes, models: Mapping[str, ModelTraits]) -> ConverseCall:
    """Raises ValidationException; of what is wrong with the form, all at once."""
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise validation_error(f"The request body is not valid JSON: {error}") from error
    violations = list(_violations(_converse_input(), document, ""))
    if violations:
        plural = "s" if len(violations) > 1 else ""
        raise validation_error(f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}")
    if model_id not in models:
        raise validation_error("The provided model identifier is invalid.")
    for name in ("guardrailConfig", "outputConfig", "promptVariables"):
        if document.get(name):
            raise validation_error(f"The local Bedrock does not support {name}. Remove it and try again.")
    messages = tuple(_message(i, message) for i, message in enumerate(document.get("messages") or []))
    tools, choice = _tools(document.get("toolConfig"))
    _check_conversation(messages, tools)
    inference: Json = document.get("inferenceConfig") or {}
    call = ConverseCall(
        model_id=model_id,
        traits=models[model_id],
        messages=messages,
        system=tuple(_system(i, block) for i, block in enumerate(document.get("system") or [])),
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature"),
        top_p=inference.get("topP"),
        stop=tuple(inference.get("stopSequences") or ()),
        tools=tools,
        tool_choice=cast(Any, next(iter(choice), "auto")),
        tool_name=choice["tool"]["name"] if "tool" in choice else "",
    )
    _check_traits(call)
    return call


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _Shape(Protocol):
    """What is read of a shape of botocore's service model."""

    type_name: str
    metadata: Mapping[str, Any]
    members: Mapping[str, "_Shape"]  # of a structure
    member: "_Shape"  # of a list
    key: "_Shape"  # of a map
    value: "_Shape"


@cache
def _converse_input() -> _Shape:
    """Converse and ConverseStream take the same body."""
    description = _botocore("loaders").Loader().load_service_model("bedrock-runtime", "service-2")
    service = _botocore("model").ServiceModel(description, "bedrock-runtime")
    return cast(_Shape, service.operation_model("Converse").input_shape)


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


def _violations(shape: _Shape, value: Any, path: str) -> Iterator[str]:
    """What is wrong with the form of `value`, in AWS's words; positions count from 1, as AWS counts them here."""
    rules = shape.metadata
    if rules.get("document"):
        return
    kind = shape.type_name
    if not _is_of(kind, value):
        yield _violation(value, path, f"Member must be of type {kind}")
    elif kind == "structure":
        yield from _structure_violations(shape, cast(Json, value), path)
    elif kind in ("list", "map"):
        yield from _bound_violations(rules, len(value), None, path)
        pairs = enumerate(value, 1) if kind == "list" else value.items()
        for key, item in pairs:
            if kind == "map":
                yield from _violations(shape.key, key, f"{path}.{key}.key")
            member = shape.member if kind == "list" else shape.value
            yield from _violations(member, item, f"{path}.{key}.{'member' if kind == 'list' else 'value'}")
    elif kind == "string":
        if "enum" in rules and value not in rules["enum"]:
            yield _violation(value, path, f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]")
        if "pattern" in rules and re.fullmatch(rules["pattern"], value) is None:
            yield _violation(value, path, f"Member must satisfy regular expression pattern: {rules['pattern']}")
        yield from _bound_violations(rules, len(value), value, path)
    elif kind not in ("boolean", "blob"):
        yield from _bound_violations(rules, value, value, path, quantity="value")


def _is_of(kind: str, value: Any) -> bool:
    return isinstance(value, _JSON_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _structure_violations(shape: _Shape, value: Json, path: str) -> Iterator[str]:
    members = {name: member for name, member in shape.members.items() if name != "modelId"}  # stands in the path
    prefix = f"{path}." if path else ""
    given = {name: item for name, item in value.items() if item is not None}
    for name, item in given.items():
        if name in members:
            yield from _violations(members[name], item, f"{prefix}{name}")
        else:
            yield _violation(None, f"{prefix}{name}", f"Member must be one of: {', '.join(members)}", shown=False)
    for name in shape.metadata.get("required", ()):
        if name in members and name not in given:
            yield _violation(None, f"{prefix}{name}", "Member must not be null")
    if shape.metadata.get("union") and len(given) != 1:
        yield _violation(value, path, f"Member must set one of the following keys: {', '.join(members)}")


def _bound_violations(
    rules: Mapping[str, Any], size: float, value: Any, path: str, *, quantity: str = "length"
) -> Iterator[str]:
    shown = value is not None
    if size < rules.get("min", size):
        yield _violation(value, path, f"Member must have {quantity} greater than or equal to {rules['min']}", shown=shown)
    if size > rules.get("max", size):
        yield _violation(value, path, f"Member must have {quantity} less than or equal to {rules['max']}", shown=shown)


def _violation(value: Any, path: str, constraint: str, *, shown: bool = True) -> str:
    text = "null" if value is None else f"'{value}'"
    if not shown or isinstance(value, dict | list):
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    return f"Value {text} at '{path}' failed to satisfy constraint: {constraint}"


def _message(index: int, message: Json) -> Message:
    where = f"messages.{index}"
    role = message["role"]
    if role == "system":
        raise validation_error(f"This model doesn't support the role system at {where}. Use the system field instead.")
    if not message["content"]:
        raise validation_error(
            f"The content field in the Message object at {where} is empty. Add a ContentBlock object to the content field "
            "and try again."
        )
    return Message(role, tuple(_block(f"{where}.content.{i}", role, b) for i, b in enumerate(message["content"])))


def _block(where: str, role: str, block: Json) -> Block:
    (kind, value), *_ = ((key, item) for key, item in block.items() if item is not None)
    match role, kind:
        case _, "text":
            if not value.strip():
                raise validation_error(
                    f"The text field in the ContentBlock object at {where} is blank. Add text to the text field, and try again."
                )
            return TextBlock(value)
        case "user", "toolResult":
            return _tool_result(f"{where}.toolResult", value)
        case "assistant", "toolUse":
            if not isinstance(value["input"], dict):
                raise validation_error(
                    f"The format of the value at {where}.toolUse.input is invalid. Provide a json object for the field and "
                    "try again."
                )
            return ToolUseBlock(value["toolUseId"], value["name"], cast(Json, value["input"]))
        case "assistant", "reasoningContent" if value.get("reasoningText"):
            return ReasoningBlock(value["reasoningText"]["text"])
        case _:
            raise validation_error(
                f"This model doesn't support the {kind} content block at {where} in a message of role {role}. Remove it and "
                "try again."
            )


def _tool_result(where: str, result: Json) -> ToolResultBlock:
    texts: list[str] = []
    for i, block in enumerate(result["content"]):
        (kind, value), *_ = ((key, item) for key, item in block.items() if item is not None)
        if kind not in ("text", "json"):
            raise validation_error(f"This model doesn't support the {kind} content block at {where}.content.{i}.")
        texts.append(value if kind == "text" else json.dumps(value, ensure_ascii=False))
    error = result.get("status") == "error"
    if error and not texts:
        raise validation_error(f"The content field at {where} cannot be empty when status value is error.")
    return ToolResultBlock(result["toolUseId"], "\n".join(texts), error)


def _system(index: int, block: Json) -> str:
    if block.get("text") is None:
        raise validation_error(f"This model doesn't support {next(iter(block))} at system.{index}. Remove it and try again.")
    return cast(str, block["text"])


def _tools(config: Json | None) -> tuple[tuple[Tool, ...], Json]:
    """The tools, and toolChoice as it came."""
    if config is None:
        return (), {}
    tools: dict[str, Tool] = {}
    for i, entry in enumerate(config["tools"]):
        spec = entry.get("toolSpec")
        where = f"toolConfig.tools.{i}"
        if spec is None:
            raise validation_error(f"This model doesn't support {next(iter(entry))} at {where}. Remove it and try again.")
        schema = spec["inputSchema"]["json"]
        if not isinstance(schema, dict) or cast(Json, schema).get("type") != "object":
            raise validation_error(f"The value at {where}.toolSpec.inputSchema.json.type must be one of the following: object.")
        if spec["name"] in tools:
            raise validation_error(f"The tool {spec['name']} is already defined at {where}.")
        tools[spec["name"]] = Tool(spec["name"], spec.get("description") or "", cast(Json, schema))
    given: Json = config.get("toolChoice") or {}
    choice = {key: value for key, value in given.items() if value is not None}
    if "tool" in choice and choice["tool"]["name"] not in tools:
        raise validation_error(f"The tool {choice['tool']['name']} at toolConfig.toolChoice.tool.name is not defined.")
    return tuple(tools.values()), choice


def _check_conversation(messages: Sequence[Message], tools: Sequence[Tool]) -> None:
    if not messages or messages[0].role != "user":
        raise validation_error(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message."
        )
    awaited: list[str] = []
    for i, message in enumerate(messages):
        if i and message.role == messages[i - 1].role:
            raise validation_error(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again."
            )
        where = f"messages.{i}.content"
        uses = [block.id for block in message.content if isinstance(block, ToolUseBlock)]
        results = [block.id for block in message.content if isinstance(block, ToolResultBlock)]
        if (uses or results) and not tools:
            raise validation_error("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        for kind, ids in (("toolUse", uses), ("toolResult", results)):
            if len(set(ids)) < len(ids):
                raise validation_error(f"The {kind} blocks at {where} contain duplicate Ids: {', '.join(ids)}")
        missing = [id_ for id_ in awaited if id_ not in results]
        if missing:
            raise validation_error(f"Expected toolResult blocks at {where} for the following Ids: {', '.join(missing)}")
        if len(results) > len(awaited):
            raise validation_error(
                f"The number of toolResult blocks at {where} exceeds the number of toolUse blocks of previous turn."
            )
        awaited = uses
    if messages[-1].role != "user":
        raise validation_error(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _check_traits(call: ConverseCall) -> None:
    traits = call.traits
    if call.system and "system" not in traits.accepts:
        raise validation_error(
            "This model doesn't support system messages. Try again without a system message or use a model that supports "
            "system messages."
        )
    if call.tools and "tools" not in traits.accepts:
        raise validation_error("This model doesn't support tool use.")
    given = {
        "max_tokens": call.max_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "stop": call.stop or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in traits.accepts:
            field = _FIELDS[name]
            raise validation_error(f"This model doesn't support the {field} field. Remove {field} and try again.")
    both = sorted(traits.exclusive & set(given))
    if len(both) > 1:
        raise validation_error(
            f"The model returned the following errors: {' and '.join(f'`{name}`' for name in both)} cannot both be specified "
            "for this model. Please use only one."
        )
    bound = traits.max_output_tokens
    if call.max_tokens is not None and call.max_tokens > bound:
        raise validation_error(
            f"The maximum tokens you requested exceeds the model limit of {bound}. Try again with a maximum tokens value that "
            f"is lower than {bound}."
        )


_FIELDS = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
