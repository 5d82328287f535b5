"""Amazon Bedrock by Converse and ConverseStream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from botocore.eventstream import EventStreamBuffer, ParserError

from llm_gateway import errors, http_client
from llm_gateway.aws import Aws
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, StopReason, ToolCall, ToolCallDelta, Usage
from llm_gateway.http_client import Response
from llm_gateway.request import Message, Tool

# Seconds to the response's head. A whole answer's head comes when the answer is whole, so the caller's deadline is what
# ends it; this is Lambda's own limit.
_RESPONSE_TIMEOUT = 900.0
# Seconds between two pieces of a stream.
_READ_TIMEOUT = 120.0

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filtered",
    "content_filtered": "content_filtered",
    "model_context_window_exceeded": "context_window_exceeded",
}

# What reading an answer that is not as documented raises. Its texts are bytes that may be no UTF-8.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Bedrock:
    """Foundation models, inference profiles and provisioned throughput, by id or ARN."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def answer(self, call: ModelCall) -> AsyncGenerator[Event, None]:
        operation = "converse-stream" if call.stream else "converse"
        try:
            response = await self._aws.post(
                "bedrock-runtime",
                f"/model/{quote(call.target.model, safe='')}/{operation}",
                {"content-type": "application/json"},
                _encode(_body(call)),
                response_timeout=_RESPONSE_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
            )
            async with response:
                if response.status != 200:
                    raise await _refusal(response)
                if call.stream:
                    async for event in _streamed(response):
                        yield event
                else:
                    for event in _whole(await response.read()):
                        yield event
        except http_client.HttpError as error:
            raise _transport_error(error) from error


# The request.


def _body(call: ModelCall) -> dict[str, Any]:
    sampling = call.sampling
    inference: dict[str, Any] = {"maxTokens": sampling.max_tokens}
    if sampling.temperature is not None:
        inference["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        inference["topP"] = sampling.top_p
    if sampling.stop:
        inference["stopSequences"] = list(sampling.stop)
    body: dict[str, Any] = {"messages": _messages(call.messages), "inferenceConfig": inference}
    if call.system:
        body["system"] = [{"text": call.system}]
    if tools := _offered(call):
        body["toolConfig"] = {"tools": [_tool_spec(tool) for tool in tools], **_tool_choice(call)}
    return body


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Converse wants user and assistant in turn: neighbors of one role become one message of several blocks."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"].extend(_blocks(message))
    return turns


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": message.text}]}}
        return
    if message.text.strip():
        yield {"text": message.text}
    for call in message.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _offered(call: ModelCall) -> tuple[Tool, ...]:
    """The tools to declare.

    Converse has no "none", and wants every tool that the history holds a call of declared, offered now or not.
    """
    used = {use.name for message in call.messages for use in message.tool_calls}
    tools = call.tools if used or call.tool_choice.mode != "none" else ()
    missing = used - {tool.name for tool in tools}
    return (*tools, *(Tool(name=name, description="", parameters={"type": "object"}) for name in sorted(missing)))


def _tool_spec(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.parameters}}
    if tool.description:
        spec["description"] = tool.description
    return {"toolSpec": spec}


def _tool_choice(call: ModelCall) -> dict[str, Any]:
    match call.tool_choice.mode:
        case "required":
            return {"toolChoice": {"any": {}}}
        case "tool":
            return {"toolChoice": {"tool": {"name": call.tool_choice.name}}}
        case _:
            return {}


# The answer, whole and streamed.


def _whole(body: bytes) -> Iterator[Event]:
    try:
        answer = _decode(body)
        calls = 0
        for block in answer["output"]["message"]["content"]:
            if text := block.get("text"):
                yield Delta(text)
            elif reasoning := block.get("reasoningContent"):
                if text := reasoning.get("reasoningText", {}).get("text"):
                    yield Reasoning(text)
            elif use := block.get("toolUse"):
                yield ToolCall(index=calls, id=use["toolUseId"], name=use["name"])
                yield ToolCallDelta(index=calls, arguments=_encode(use["input"]).decode())
                calls += 1
        yield _usage(answer["usage"])
        yield Done(_stop_reason(answer["stopReason"]))
    except _UNREADABLE as error:
        raise errors.upstream_failed(detail=f"Converse's answer cannot be read: {error!r}") from error


async def _streamed(response: Response) -> AsyncIterator[Event]:
    """ConverseStream's events as ours. Raises 502 where the stream ends before its metadata, the last event of a whole one."""
    if not response.headers.get("content-type", "").startswith("application/vnd.amazon.eventstream"):
        raise errors.upstream_failed(detail=f"ConverseStream answered {response.headers.get('content-type')!r}")
    calls = -1
    bare_call = False  # a call of which no arguments have come: an object without members is sent as nothing at all
    stop: StopReason | None = None
    try:
        async for name, payload in _messages_of(response):
            match name:
                case "contentBlockDelta":
                    if (event := _delta(payload["delta"], calls)) is not None:
                        bare_call = bare_call and not isinstance(event, ToolCallDelta)
                        yield event
                case "contentBlockStart":
                    if use := payload["start"].get("toolUse"):
                        calls += 1
                        bare_call = True
                        yield ToolCall(index=calls, id=use["toolUseId"], name=use["name"])
                case "contentBlockStop" if bare_call:
                    bare_call = False
                    yield ToolCallDelta(index=calls, arguments="{}")
                case "messageStop":
                    stop = _stop_reason(payload["stopReason"])
                case "metadata":
                    if stop is None:
                        raise errors.stream_interrupted(detail="metadata came before messageStop")
                    yield _usage(payload["usage"])
                    yield Done(stop)
                    return
                case _:  # messageStart and contentBlockStop say nothing that the others don't
                    pass
    except http_client.ReadTimeout:
        raise
    except http_client.HttpError as error:
        raise errors.stream_interrupted(detail=str(error)) from error
    except (ParserError, *_UNREADABLE) as error:
        raise errors.stream_interrupted(detail=f"an event cannot be read: {error!r}") from error
    raise errors.stream_interrupted(detail="the stream ended without metadata")


def _delta(delta: dict[str, Any], call: int) -> Event | None:
    if text := delta.get("text"):
        return Delta(text)
    if text := delta.get("reasoningContent", {}).get("text"):
        return Reasoning(text)
    if arguments := delta.get("toolUse", {}).get("input"):
        return ToolCallDelta(index=call, arguments=arguments)
    return None  # a reasoning signature, or an empty piece


async def _messages_of(response: Response) -> AsyncIterator[tuple[str, Any]]:
    """Each event's type and payload; an exception event is raised as what it means."""
    buffer = EventStreamBuffer()
    async for chunk in response.chunks():
        buffer.add_data(chunk)
        for message in buffer:
            headers = message.headers
            payload: Any = _decode(message.payload) if message.payload else {}
            match headers.get(":message-type"):
                case "event":
                    yield headers[":event-type"], payload
                case "exception":
                    raise _exception(headers[":exception-type"], payload.get("message", ""), in_stream=True)
                case _:
                    raise errors.stream_interrupted(detail=f"{headers.get(':error-code')}: {headers.get(':error-message')}")


def _usage(usage: dict[str, Any]) -> Usage:
    return msgspec.convert(
        {"input_tokens": usage["inputTokens"], "output_tokens": usage["outputTokens"], "type": "usage"}, Usage
    )


def _stop_reason(reason: str) -> StopReason:
    try:
        return _STOP_REASONS[reason]
    except KeyError:
        # malformed_model_output, malformed_tool_use, or one that AWS has added: what came is not a whole answer.
        raise errors.upstream_failed(detail=f"the model stopped with {reason!r}") from None


# The errors.


async def _refusal(response: Response) -> GatewayError:
    """The error that a status other than 200 means."""
    body = await response.read()
    name = response.headers.get("x-amzn-errortype", "").split(":")[0]
    try:
        answer = _decode(body)
        message = str(answer.get("message") or answer.get("Message") or "")
        name = name or str(answer.get("__type", "")).split("#")[-1]
    except _UNREADABLE:
        message = body[:200].decode(errors="replace")
    return _exception(name, message, status=response.status)


def _exception(name: str, message: str, *, status: int = 0, in_stream: bool = False) -> GatewayError:
    """What each exception of Converse means to a caller, by its name in either spelling (the stream's begin small).

    ModelNotReadyException is a 429 like ThrottlingException, but means that an imported model is being loaded.
    """
    detail = f"{name or status}: {message}"
    match name[:1].upper() + name[1:]:
        case "ThrottlingException" | "ServiceQuotaExceededException" | "TooManyRequestsException":
            return errors.upstream_throttled(detail=detail)
        case "ModelNotReadyException":
            return errors.model_not_ready(detail=detail)
        case "ServiceUnavailableException":
            return errors.upstream_unavailable(detail=detail)
        case "ModelTimeoutException":
            return errors.upstream_timeout("the model took too long to answer", detail=detail)
        case "ModelStreamErrorException":
            return errors.stream_interrupted(detail=detail)
        case "InternalServerException":
            return errors.stream_interrupted(detail=detail) if in_stream else errors.upstream_failed(detail=detail)
        case "ModelErrorException":
            return errors.upstream_failed(detail=detail)
        case "ValidationException":
            return _validation_error(message, detail)
        case (
            "AccessDeniedException"
            | "ResourceNotFoundException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "ExpiredTokenException"
            | "ConflictException"
        ):
            return errors.upstream_misconfigured(
                "this service may not use the model; its operator has to check the model's id and access", detail=detail
            )
        case _ if status == 429:
            return errors.upstream_throttled(detail=detail)
        case _ if status == 503:
            return errors.upstream_unavailable(detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)


# Bedrock tells these apart from a caller's mistake only in the message's text.
_MISCONFIGURED = (
    "model identifier is invalid",
    "on-demand throughput isn",
    "end of its life",
    "end of life",
    "access to this model is not available",
)
_TOO_LONG = (
    "too long",
    "context length",
    "context window",
    "maximum context",
    "too many input tokens",
    "context limit",
)


def _validation_error(message: str, detail: str) -> GatewayError:
    lower = message.lower()
    if any(part in lower for part in _MISCONFIGURED):
        return errors.upstream_misconfigured(
            "the model's id is not valid at its provider; this service's operator has to check it", detail=detail
        )
    if any(part in lower for part in _TOO_LONG):
        return errors.context_too_long(
            "the conversation is longer than the model's context; shorten it or lower max_tokens", detail=detail
        )
    return errors.upstream_rejected(f"the model's provider refused the request: {message}", detail=detail)


def _transport_error(error: http_client.HttpError) -> GatewayError:
    detail = f"{type(error).__name__}: {error}"
    match error:
        case http_client.ResponseTimeout() | http_client.ReadTimeout():
            return errors.upstream_timeout("the model's provider stopped answering", detail=detail)
        case http_client.ConnectError() | http_client.ConnectTimeout() | http_client.TlsError():
            return errors.upstream_unavailable(detail=detail)
        case _:
            return errors.upstream_failed(detail=detail)
