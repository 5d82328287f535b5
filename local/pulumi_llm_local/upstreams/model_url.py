"""A real model behind the stand-ins: any server with OpenAI's chat completions (Ollama, vLLM, …)."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast
from urllib.parse import urldefrag

import aiohttp

from pulumi_llm_local.upstreams.model import (
    Finish,
    GenerationRequest,
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
    UpstreamError,
)


class ModelUrl:
    """Asks the model at a URL.

    An `UpstreamError` names the URL. Its status is 503 if the server cannot be reached or fails, 400 if it refuses the request,
    429 if it says so. The model id of the request decides only what the request may contain.

    Args:
        url: What an OpenAI client calls its base URL, as in ``http://localhost:11434/v1``. The fragment names the model
            (``…/v1#llama3.2``); without one it is the first that the server lists.
    """

    def __init__(self, url: str) -> None:
        base, self._model = urldefrag(url)
        self._base = base.rstrip("/")

    async def generate(self, request: GenerationRequest, /) -> AsyncIterator[Piece]:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            self._model = self._model or await self._first_model(session)
            url = f"{self._base}/chat/completions"
            answer = _Answer(url, request)
            try:
                async with session.post(url, json=_body(request, self._model), read_bufsize=_LONGEST_LINE_BYTES) as response:
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
            raise UpstreamError(400, f"{url} does not answer as OpenAI's list of models does: {error!r}") from error
        if not models:
            raise UpstreamError(400, f"{url} lists no model; load one, or name one after '#' in --model-url")
        return models[0]


# A local model may load for minutes before its first token and take as long between two; only connecting has a bound.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
_LONGEST_LINE_BYTES = 4 * 1024 * 1024  # Ollama sends a whole tool call in one line


async def _check(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status == 200:
        return
    message = f"{url} answered {response.status}: {_error_text(await response.text(errors='replace'))}"
    if response.status == 429:
        raise UpstreamError(429, message)
    if 400 <= response.status < 500:
        raise UpstreamError(400, message)
    raise UpstreamError(503, message)


def _unreachable(url: str, error: Exception, *, begun: bool = False) -> UpstreamError:
    what = "broke off its answer" if begun else "cannot be reached"
    return UpstreamError(503, f"{url} {what}: {str(error) or type(error).__name__}")


def _error_text(body: str) -> str:
    """Return the message of an error in OpenAI's, Ollama's or vLLM's form, else the beginning of the body."""
    try:
        error: Any = json.loads(body)
    except ValueError:
        return body[:300].strip() or "(no text)"
    for key in ("error", "message", "detail"):
        if isinstance(error, dict):
            error = cast(Json, error).get(key, cast(Any, error))
    return error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)[:300]


# The request.


def _body(request: GenerationRequest, model: str) -> Json:
    body: Json = {
        "model": model,
        "messages": [
            *({"role": "system", "content": text} for text in request.system),
            *(translated for message in request.messages for translated in _messages(message)),
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    settings = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
    }
    body |= {name: value for name, value in settings.items() if value is not None}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in request.tools
        ]
        named = {"type": "function", "function": {"name": request.tool_name}}
        body["tool_choice"] = {"auto": "auto", "any": "required", "tool": named}[request.tool_choice]
    if request.output_schema is not None:
        described = {"name": "answer", "schema": request.output_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    return body


def _messages(message: Message) -> list[Json]:
    """Translate one message. Tool results become messages of their own; reasoning is not sent back."""
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
    """Turns the lines of the server's stream into pieces."""

    def __init__(self, url: str, request: GenerationRequest) -> None:
        self.begun = False
        self._url = url
        self._request = request
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
            raise UpstreamError(424, f"{self._url} sent what is no chunk of a chat completion: {text}") from error

    def finish(self) -> Finish:
        if self._stop_reason is None:
            raise UpstreamError(424, f"{self._url} ended its answer without a finish_reason")
        if self._tool_calls and self._stop_reason == "end_turn":  # as some servers end a tool call
            self._stop_reason = "tool_use"
        return Finish(
            self._stop_reason,
            self._usage.get("prompt_tokens", _estimated_tokens(len(json.dumps(_body(self._request, ""))))),
            self._usage.get("completion_tokens", _estimated_tokens(self._characters)),
            self._stop_sequence,
        )

    def _chunk(self, chunk: Json) -> Sequence[Piece]:
        if chunk.get("error"):
            raise UpstreamError(424, f"{self._url} failed in mid answer: {_error_text(json.dumps(chunk))}")
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
                # vLLM names the stop sequence that it found; others do not.
                met = choice.get("stop_reason")
                self._stop_sequence = met if reason == "stop" and isinstance(met, str) else None
                self._stop_reason = "stop_sequence" if self._stop_sequence else _STOP_REASONS.get(reason, "end_turn")
        self.begun = self.begun or bool(pieces)
        self._characters += sum(len(_text(piece)) for piece in pieces)
        return pieces

    def _tool_call(self, call: Json) -> list[Piece]:
        """Return the pieces of a tool call. A call begins with a new index or a new id (Ollama gives all calls index 0)."""
        index, id_ = call.get("index", 0), call.get("id")
        function: Json = call.get("function") or {}
        pieces: list[Piece] = []
        last_index, last_id = self._tool_calls[-1] if self._tool_calls else (None, None)
        if index != last_index or (id_ and id_ != last_id):
            if any(index == begun and (not id_ or id_ == begun_id) for begun, begun_id in self._tool_calls):
                raise UpstreamError(
                    424, f"{self._url} mixes the pieces of several tool calls, which cannot be streamed further"
                )
            id_ = id_ or f"call_{len(self._tool_calls)}"
            self._tool_calls.append((index, id_))
            pieces.append(ToolUseStart(id_, function["name"]))
        if function.get("arguments"):
            pieces.append(ToolUseDelta(function["arguments"]))
        return pieces


def _text(piece: Piece) -> str:
    match piece:
        case TextDelta() | ReasoningDelta():
            return piece.text
        case ToolUseDelta():
            return piece.input
        case _:
            return ""


def _estimated_tokens(characters: int) -> int:
    """Estimate the tokens, for a server that does not count them: about four characters a token, as in English text."""
    return -(-characters // 4)
