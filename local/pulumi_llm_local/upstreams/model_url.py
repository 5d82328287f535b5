"""Answers from a real model behind the local Bedrock: any server that speaks OpenAI's chat completions (Ollama, vLLM, …)."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from urllib.parse import urldefrag

import aiohttp

from pulumi_llm_local.upstreams.model import (
    BedrockError,
    ConverseCall,
    Finish,
    Json,
    Message,
    Piece,
    ReasoningDelta,
    StopReason,
    TextBlock,
    TextDelta,
    ToolResultBlock,
    ToolUseBlock,
    ToolUseDelta,
    ToolUseStart,
    validation_error,
)


class ModelUrl:
    """`url` is what an OpenAI client calls its base URL, as in ``http://localhost:11434/v1``.

    The model asked for is the URL's fragment (``…/v1#llama3.2``), else the first one that the server lists. A server that
    cannot be reached or fails is a ServiceUnavailableException, one that refuses the request a ValidationException, one that
    says 429 a ThrottlingException; the message names the URL. The Bedrock model id of the call decides only what the call may
    contain.
    """

    def __init__(self, url: str) -> None:
        base, self._model = urldefrag(url)
        self._base = base.rstrip("/")

    async def generate(self, call: ConverseCall) -> AsyncIterator[Piece]:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            self._model = self._model or await self._first_model(session)
            url = f"{self._base}/chat/completions"
            answer = _Answer(url, call)
            try:
                request = _request(call, self._model)
                async with session.post(url, json=request, read_bufsize=_LONGEST_LINE_BYTES) as response:
                    await _check(response, url)
                    async for line in response.content:
                        for piece in answer.pieces(line):
                            yield piece
            except (aiohttp.ClientError, OSError) as error:
                raise _unreachable(url, error, begun=answer.begun) from error
            yield answer.finish()

    async def _first_model(self, session: aiohttp.ClientSession) -> str:
        url = f"{self._base}/models"
        try:
            async with session.get(url) as response:
                await _check(response, url)
                listing = json.loads(await response.read())
                models = [str(model["id"]) for model in listing["data"]]
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(url, error) from error
        except (ValueError, LookupError, TypeError) as error:
            raise validation_error(f"{url} does not answer as OpenAI's list of models does: {error!r}") from error
        if not models:
            raise validation_error(f"{url} lists no model; load one, or name one after '#' in --model-url")
        return models[0]


# A local model may load for minutes before its first token and take as long between two; only connecting has a bound.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
_LONGEST_LINE_BYTES = 4 * 1024 * 1024  # Ollama sends a whole tool call in one line


async def _check(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status == 200:
        return
    message = f"{url} answered {response.status}: {_error_text(await response.text(errors='replace'))}"
    if response.status == 429:
        raise BedrockError(429, "ThrottlingException", message)
    if 400 <= response.status < 500:
        raise validation_error(message)
    raise BedrockError(503, "ServiceUnavailableException", message)


def _unreachable(url: str, error: Exception, *, begun: bool = False) -> BedrockError:
    what = "broke off its answer" if begun else "cannot be reached"
    return BedrockError(503, "ServiceUnavailableException", f"{url} {what}: {str(error) or type(error).__name__}")


def _error_text(body: str) -> str:
    """What an error says: OpenAI's shape, Ollama's, vLLM's, else the body's beginning."""
    try:
        error: Any = json.loads(body)
    except ValueError:
        return body[:300].strip() or "(no text)"
    for key in ("error", "message", "detail"):
        if isinstance(error, dict):
            error = cast(Json, error).get(key, cast(Any, error))
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)[:300]


# The request.


def _request(call: ConverseCall, model: str) -> Json:
    request: Json = {
        "model": model,
        "messages": [
            *({"role": "system", "content": text} for text in call.system),
            *(translated for message in call.messages for translated in _messages(message)),
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    settings = {
        "max_tokens": call.max_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "stop": list(call.stop) or None,
    }
    request |= {name: value for name, value in settings.items() if value is not None}
    if call.tools:
        request["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in call.tools
        ]
        named = {"type": "function", "function": {"name": call.tool_name}}
        request["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}[call.tool_choice]
    return request


def _messages(message: Message) -> list[Json]:
    """One message of Converse: tool results become messages of their own; reasoning is not sent back."""
    texts = [block.text for block in message.content if isinstance(block, TextBlock)]
    results: list[Json] = [
        {"role": "tool", "tool_call_id": block.id, "content": f"Error: {block.text}" if block.error else block.text}
        for block in message.content
        if isinstance(block, ToolResultBlock)
    ]
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": json.dumps(block.input)}}
        for block in message.content
        if isinstance(block, ToolUseBlock)
    ]
    if not texts and not calls:
        return results
    spoken: Json = {"role": message.role, "content": "\n".join(texts)}
    return [*results, spoken | ({"tool_calls": calls} if calls else {})]


# The answer.

_STOP_REASONS: dict[str, StopReason] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
}


class _Answer:
    """Turns the server's stream, line by line, into pieces."""

    def __init__(self, url: str, call: ConverseCall) -> None:
        self.begun = False
        self._url = url
        self._call = call
        self._stop_reason: StopReason | None = None
        self._stop_sequence: str | None = None
        self._usage: Json = {}
        self._characters = 0
        self._tool_calls: list[tuple[Any, Any]] = []  # index and id of each call begun

    def pieces(self, line: bytes) -> Sequence[Piece]:
        data = line.removeprefix(b"data:").strip()
        if not line.startswith(b"data:") or not data or data == b"[DONE]":
            return ()
        try:
            return self._chunk(json.loads(data))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            text = data[:200].decode(errors="replace")
            raise self._failed(f"{self._url} sent what is no chunk of a chat completion: {text}") from error

    def finish(self) -> Finish:
        if self._stop_reason is None:
            raise self._failed(f"{self._url} ended its answer without a finish_reason")
        if self._tool_calls and self._stop_reason == "end_turn":  # as some servers end a tool call
            self._stop_reason = "tool_use"
        return Finish(
            self._stop_reason,
            self._usage.get("prompt_tokens", _estimated_tokens(len(json.dumps(_request(self._call, ""))))),
            self._usage.get("completion_tokens", _estimated_tokens(self._characters)),
            self._stop_sequence,
        )

    def _chunk(self, chunk: Json) -> Sequence[Piece]:
        if chunk.get("error"):
            raise self._failed(f"{self._url} failed in mid answer: {_error_text(json.dumps(chunk))}")
        self._usage = chunk.get("usage") or self._usage
        pieces: list[Piece] = []
        for choice in cast(list[Json], chunk.get("choices") or []):
            delta: Json = choice.get("delta") or {}
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if reasoning:
                pieces.append(ReasoningDelta(reasoning))
            if delta.get("content"):
                pieces.append(TextDelta(delta["content"]))
            for call in cast(list[Json], delta.get("tool_calls") or []):
                pieces += self._tool_call(call)
            reason = choice.get("finish_reason")
            if reason:
                # vLLM names the stop sequence that it met; others leave it untold.
                met = choice.get("stop_reason")
                self._stop_sequence = met if reason == "stop" and isinstance(met, str) else None
                self._stop_reason = "stop_sequence" if self._stop_sequence else _STOP_REASONS.get(reason, "end_turn")
        self.begun = self.begun or bool(pieces)
        self._characters += sum(len(_text(piece)) for piece in pieces)
        return pieces

    def _tool_call(self, call: Json) -> list[Piece]:
        """A call begins where its index or its id is new (Ollama gives all calls index 0)."""
        index, id_ = call.get("index", 0), call.get("id")
        function: Json = call.get("function") or {}
        pieces: list[Piece] = []
        last_index, last_id = self._tool_calls[-1] if self._tool_calls else (None, None)
        if index != last_index or (id_ and id_ != last_id):
            if any(index == begun and (not id_ or id_ == begun_id) for begun, begun_id in self._tool_calls):
                raise self._failed(f"{self._url} mixes the pieces of several tool calls, which Bedrock cannot stream")
            id_ = id_ or f"call_{len(self._tool_calls)}"
            self._tool_calls.append((index, id_))
            pieces.append(ToolUseStart(id_, function["name"]))
        if function.get("arguments"):
            pieces.append(ToolUseDelta(function["arguments"]))
        return pieces

    def _failed(self, message: str) -> BedrockError:
        return BedrockError(424, "ModelStreamErrorException", message)


def _text(piece: Piece) -> str:
    match piece:
        case TextDelta() | ReasoningDelta():
            return piece.text
        case ToolUseDelta():
            return piece.input
        case _:
            return ""


def _estimated_tokens(characters: int) -> int:
    """For a server that counts no tokens: about four characters a token, as English text has."""
    return -(-characters // 4)
