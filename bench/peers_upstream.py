"""The fake provider behind every gateway in bench/peers.py: OpenAI's and Bedrock's answers, as fast as asyncio can send them.

The benchmark starts it, and it ends with the benchmark. Each kind of answer is made once. Of a request, only what chooses
the answer is read, neither its key nor its signature. An answer has as many tokens as the request's maximum, with one write
on the socket for each token. For a model of `PACED`, the tokens are sent as a real model sends them, `TOKENS_A_SECOND` a
second. The framing is that of the providers: OpenAI's events with all their fields, usage and ``[DONE]``, and Bedrock's
event stream with its CRCs. ``GET /count`` returns how many requests have been answered.

For our gateway with its stages on, it also plays their stores, as far as it takes to let every request pass: a DynamoDB in
which every write succeeds, an AppConfig without a document, and X-Ray's daemon, at the same port over UDP.
"""

import asyncio
import json
import re
import struct
import sys
import zlib
from functools import lru_cache
from typing import Any

FAST = {"openai": "gpt-4o-mini", "bedrock": "anthropic.claude-3-5-haiku-20241022-v1:0"}
PACED = {"openai": "gpt-4o", "bedrock": "anthropic.claude-3-5-sonnet-20241022-v2:0"}
TOKENS_A_SECOND = 100
OPENAI_KEY = "sk-bench"  # nobody checks it

# Stands once in every token of an answer, and nowhere else in it.
MARK = b"orem"
PROMPT_TOKENS = 210

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TOKENS = re.compile(rb'"max_?(?:completion_)?[tT]okens": ?(\d+)')
_STREAM = re.compile(rb'"stream": ?true')
_PACED = tuple(name.encode() for name in (f'"{PACED["openai"]}"', PACED["bedrock"].split(":")[0]))


def text(tokens: int) -> str:
    return "".join(_pieces(tokens))


def _pieces(tokens: int) -> list[str]:
    """The tokens. Neighbors differ, because LiteLLM ends a stream that repeats itself."""
    return ["Lorem", *(f" lorem{number % 10}" for number in range(1, tokens))]


class Upstream(asyncio.Protocol):
    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self._received = data
            return
        length = _LENGTH.search(data, 0, head)
        if len(data) < head + 4 + (int(length[1]) if length else 0):
            self._received = data
            return
        self._received = b""  # no client sends a request before the answer to its last one
        self._answer(data)

    def _answer(self, request: bytes) -> None:
        path = request[: request.index(b"\r\n")]
        if path.startswith(b"GET /count "):
            self._transport.write(_response(b"%d" % Upstream.answered))
            return
        if (stored := next((answer for start, answer in _STORES.items() if path.startswith(start)), None)) is not None:
            self._transport.write(stored)
            return
        tokens = _TOKENS.search(request)
        if tokens is None:
            self._transport.write(_response(b'{"error":{"message":"no content-length, or no maximum of tokens"}}', b"400 No"))
            return
        paced = any(name in request for name in _PACED)
        if path.startswith(b"POST /v1/chat/completions "):
            writes = _openai(int(tokens[1]), _STREAM.search(request) is not None, paced)
        else:
            writes = _bedrock(int(tokens[1]), b"/converse-stream " in path)
        Upstream.answered += 1
        if paced:
            self._send_next(writes, 0, self._loop.time())
        else:
            for write in writes:
                self._transport.write(write)

    def _send_next(self, writes: tuple[bytes, ...], number: int, start: float) -> None:
        self._transport.write(writes[number])
        number += 1
        if number < len(writes) and not self._transport.is_closing():
            self._loop.call_at(start + number / TOKENS_A_SECOND, self._send_next, writes, number, start)


def _response(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        headers,
        len(body),
        body,
    )


# The beginning of a request line, and the answer.
_STORES = {
    b"POST / ": _response(b'{"Attributes":{},"Items":[]}'),
    b"POST /configurationsessions ": _response(b'{"InitialConfigurationToken":"t"}', b"201 Created"),
    b"GET /configuration?": _response(b"", headers=b"next-poll-configuration-token: t\r\n"),
}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _stream(kind: bytes, headers: bytes, before: bytes, tokens: list[bytes], after: bytes) -> tuple[bytes, ...]:
    """One write per token. `before` goes with the first token, and `after` with the last one."""
    head = b"HTTP/1.1 200 OK\r\n%bcontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % (headers, kind)
    writes = [_chunk(token) for token in tokens]
    writes[0] = head + _chunk(before) + writes[0]
    writes[-1] += after + b"0\r\n\r\n"
    return tuple(writes)


# OpenAI: https://platform.openai.com/docs/api-reference/chat

_OPENAI_HEADERS = (
    b"date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"access-control-expose-headers: X-Request-ID\r\n"
    b"openai-organization: bench\r\n"
    b"openai-processing-ms: 1\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-remaining-tokens: 1999000\r\n"
    b"x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    b"server: bench\r\n"
)


@lru_cache
def _openai(tokens: int, stream: bool, paced: bool) -> tuple[bytes, ...]:
    common = {
        "id": "chatcmpl-BenchBenchBenchBenchBenchBen",
        "object": "chat.completion.chunk" if stream else "chat.completion",
        "created": 1767225600,
        "model": f"{(PACED if paced else FAST)['openai']}-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": tokens,
        "total_tokens": PROMPT_TOKENS + tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    if not stream:
        message = {"role": "assistant", "content": text(tokens), "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return (_response(_json({**common, "choices": [choice], "usage": usage}), headers=_OPENAI_HEADERS),)

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b\n\n" % _json({**common, "choices": [choice], "usage": None, "obfuscation": "0bfuscat3d"})

    before = event({"role": "assistant", "content": "", "refusal": None})
    last = b"data: %b\n\n" % _json({**common, "choices": [], "usage": usage, "obfuscation": "0bfu"})
    after = _chunk(event({}, "stop")) + _chunk(last) + _chunk(b"data: [DONE]\n\n")
    content = [event({"content": piece}) for piece in _pieces(tokens)]
    return _stream(b"text/event-stream; charset=utf-8", _OPENAI_HEADERS, before, content, after)


# Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html

_BEDROCK_HEADERS = (
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    b"x-amzn-RequestId: 01234567-89ab-cdef-0123-456789abcdef\r\n"
    b"Connection: keep-alive\r\n"
)


@lru_cache
def _bedrock(tokens: int, stream: bool) -> tuple[bytes, ...]:
    usage = {"inputTokens": PROMPT_TOKENS, "outputTokens": tokens, "totalTokens": PROMPT_TOKENS + tokens}
    metrics = {"latencyMs": 1}
    if not stream:
        message = {"role": "assistant", "content": [{"text": text(tokens)}]}
        answer = {"metrics": metrics, "output": {"message": message}, "stopReason": "end_turn", "usage": usage}
        return (_response(_json(answer), headers=_BEDROCK_HEADERS),)

    def frame(name: str, payload: dict[str, Any]) -> bytes:
        headers = b""
        for key, value in ((":event-type", name), (":content-type", "application/json"), (":message-type", "event")):
            headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        body = _json({**payload, "p": "abcdefghijklm"})
        prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
        message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
        return message + struct.pack("!I", zlib.crc32(message))

    before = frame("messageStart", {"role": "assistant"})
    after = b"".join(
        _chunk(frame(name, payload))
        for name, payload in (
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"metrics": metrics, "usage": usage}),
        )
    )
    content = [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in _pieces(tokens)]
    return _stream(b"application/vnd.amazon.eventstream", _BEDROCK_HEADERS, before, content, after)


async def serve() -> None:
    """Print the port, and answer until standard input ends, which happens when the parent process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", port))
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        print("bench/peers.py starts this")
