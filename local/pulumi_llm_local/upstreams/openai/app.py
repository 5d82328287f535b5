"""OpenAI, DeepSeek and vLLM as the local run plays them: chat completions and the list of models, each with its own habits.

The `openai` client works against it unmodified. Who answers is a `Model`; what goes wrong on purpose is a `Fault`. Sources:
https://platform.openai.com/docs/api-reference/chat, https://api-docs.deepseek.com/api/create-chat-completion and
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html. What is not played, `chat_request` refuses by name.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from aiohttp import web

from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule
from pulumi_llm_local.upstreams.faulty import generate
from pulumi_llm_local.upstreams.model import BedrockError, Finish, Json, Model, ModelTraits, Piece
from pulumi_llm_local.upstreams.openai import errors as openai_errors
from pulumi_llm_local.upstreams.openai.answer import ChatStyle, chunks, whole
from pulumi_llm_local.upstreams.openai.errors import Flavour, Refusal, Refused
from pulumi_llm_local.upstreams.openai.request import ChatError, ChatRequest, ChatRules, read_chat, read_document
from pulumi_llm_local.upstreams.server import (
    Connections,
    exceeds_context,
    html_page,
    send_stream,
    send_whole,
    within_generation,
)

_log = logging.getLogger(__name__)


def create_app(
    *,
    flavour: Flavour,
    models: Mapping[str, ModelTraits],
    model: Model,
    name: str = "",
    key: str | None = None,
    faults: Sequence[Fault] = (),
    funded: bool = True,
    keep_alive_s: float = 1.0,
) -> web.Application:
    """The upstream at any base URL: POST {base}/chat/completions, GET {base}/models, GET {base}/models/{id}.

    `name` is what a fault calls this upstream, by default the flavour. `key` is the API key that it wants; None: OpenAI and
    DeepSeek take any, vLLM wants none. `funded`: False is a DeepSeek account without money (402). `keep_alive_s`: how often
    DeepSeek says that it is still there before it begins its answer.
    """
    upstream = _Upstream(
        flavour, models, model, key, FaultSchedule(faults, name or flavour), funded=funded, keep_alive_s=keep_alive_s
    )
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    app.on_shutdown.append(upstream.connections.stop)
    return app


_MAX_BODY_BYTES = 25 * 1024 * 1024


@dataclass(frozen=True)
class _Habits:
    rules: ChatRules
    style: ChatStyle
    keep_alive: bool = False


class _Upstream:
    def __init__(
        self,
        flavour: Flavour,
        models: Mapping[str, ModelTraits],
        model: Model,
        key: str | None,
        faults: FaultSchedule,
        *,
        funded: bool,
        keep_alive_s: float,
    ) -> None:
        self.connections = Connections()
        self._flavour: Flavour = flavour
        self._habits = _HABITS[flavour]
        self._models = models
        self._model = model
        self._key = key
        self._faults = faults
        self._funded = funded
        self._keep_alive_s = keep_alive_s if self._habits.keep_alive else None
        self._started = int(time.time())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = _rate_limits() if self._flavour == "openai" else {}
        headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        try:
            return await self._handle(request, headers)
        except Refused as error:
            refusal = error.refusal
        except ChatError as error:
            refusal = openai_errors.of_request(error, self._flavour)
        except BedrockError as error:
            refusal = openai_errors.of_model(error, self._flavour)
        except web.HTTPRequestEntityTooLarge:
            refusal = Refusal(413, f"The request body is larger than {_MAX_BODY_BYTES:,} bytes.", "invalid_request_error")
        except Exception:
            _log.exception("the local %s failed", self._flavour)
            refusal = openai_errors.failed(self._flavour)
        if refusal.status == 401 and self._flavour in ("vllm", "vllm-old"):
            return web.json_response({"error": "Unauthorized"}, status=401)  # of its middleware, which knows no other shape
        return web.json_response(refusal.body(self._flavour), status=refusal.status, headers={**headers, **refusal.headers})

    async def _handle(self, request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        self._check_key(request)
        listing = f"{request.path}/".partition("/models/")
        if request.method == "GET" and listing[1]:
            return web.json_response(self._listed(listing[2].rstrip("/")), headers=headers)
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            raise Refused(Refusal(404, f"Invalid URL ({request.method} {request.path})", "invalid_request_error"))
        chat = self._read(await request.read())
        fault = self._faults.next()
        if fault == "html":
            return html_page()
        if fault == "not-ready" and self._flavour in ("vllm", "vllm-old"):
            # No target of the load balancer before the pool is healthy yet, so the answer is the balancer's own.
            return html_page("503 Service Temporarily Unavailable", 503)
        refusal = openai_errors.of_fault(fault, self._flavour, chat.call)
        if refusal is None and exceeds_context(chat.call):
            refusal = openai_errors.too_long(self._flavour, chat.call)
        if refusal is not None:
            raise Refused(refusal)
        send = self._send_stream if chat.stream else self._send_whole
        return await self.connections.while_connected(request, send(request, chat, fault, headers))

    def _check_key(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        wanted = self._key is not None or self._flavour in ("openai", "deepseek")
        if wanted and (not key or self._key not in (None, key)):
            raise Refused(openai_errors.unauthorized(self._flavour, key))
        if not self._funded:
            raise Refused(openai_errors.unpaid())

    def _listed(self, model: str) -> Json:
        if not model:
            return {"object": "list", "data": [self._listed(name) for name in self._models]}
        if model not in self._models:
            raise Refused(openai_errors.unknown_model(self._flavour, model))
        listed: Json = {"id": model, "object": "model", "created": self._started, "owned_by": self._flavour}
        if self._flavour in ("vllm", "vllm-old"):
            length = self._models[model].context_tokens
            listed |= {"owned_by": "vllm", "root": model, "parent": None, "max_model_len": length, "permission": []}
        return listed

    def _read(self, body: bytes) -> ChatRequest:
        document = read_document(body)
        model = document.get("model")
        if not isinstance(model, str):
            raise ChatError("Missing required parameter: 'model'.", "model", "missing_required_parameter", form=True)
        if model not in self._models:
            raise Refused(openai_errors.unknown_model(self._flavour, model))
        chat = read_chat(document, model, self._models[model], self._habits.rules)
        traits = chat.call.traits
        if self._flavour == "deepseek":
            if (chat.call.max_tokens or 1) > traits.max_output_tokens:
                bound = f"Invalid max_tokens value, the valid range of max_tokens is [1, {traits.max_output_tokens}]"
                raise ChatError(bound)
            thinking: Any = document.get("thinking")
            if isinstance(thinking, dict) and cast(Json, thinking).get("type") == "disabled":
                return replace(chat, call=replace(chat.call, traits=replace(traits, reasoning=False)))
        return chat

    async def _send_stream(
        self, request: web.Request, chat: ChatRequest, fault: FaultKind | None, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        return await send_stream(
            request,
            self._frames(generate(self._model, chat.call, fault), chat),
            {**headers, "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"},
            failed=self._failed,
            malformed=b'data: {"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": [{"index": 0, "del\n\n',
        )

    async def _frames(self, pieces: AsyncGenerator[Piece, None], chat: ChatRequest) -> AsyncGenerator[bytes, None]:
        awaited = _awaited(pieces, self._keep_alive_s)
        stream = chunks(awaited, chat.call, self._habits.style, include_usage=chat.include_usage)
        async with aclosing(stream):
            async for chunk in stream:
                if chunk is None:
                    yield b": keep-alive\n\n"
                else:
                    yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    def _failed(self, error: BedrockError) -> bytes:
        event = openai_errors.of_model(error, self._flavour).event(self._flavour)
        return event + b"data: [DONE]\n\n" if self._flavour in ("vllm", "vllm-old") else event

    async def _send_whole(
        self, request: web.Request, chat: ChatRequest, fault: FaultKind | None, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        pieces = _awaited(generate(self._model, chat.call, within_generation(fault)), self._keep_alive_s)
        waiting = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})

        async def counted() -> AsyncGenerator[Piece, None]:
            """The pieces, an empty line being sent for each None among them."""
            async with aclosing(pieces):
                async for piece in pieces:
                    if piece is not None:
                        yield piece
                        continue
                    if not waiting.prepared:
                        await waiting.prepare(request)
                    await waiting.write(b"\n")

        try:
            body = await whole(counted(), chat.call, self._habits.style)
        except BedrockError as error:
            if not waiting.prepared:
                raise
            body = openai_errors.of_model(error, self._flavour).body(self._flavour)
        encoded = json.dumps(body, ensure_ascii=False).encode()
        return await send_whole(request, encoded, headers, fault, waiting if waiting.prepared else None)


async def _awaited(pieces: AsyncGenerator[Piece, None], seconds: float | None) -> AsyncGenerator[Piece | None, None]:
    """The pieces; before the first of them a None every so many seconds."""
    async with aclosing(pieces):
        first = asyncio.ensure_future(anext(pieces))
        try:
            while not (await asyncio.wait({first}, timeout=seconds))[0]:
                yield None
            yield first.result()
        finally:
            first.cancel()  # does nothing to what is done
            await asyncio.wait({first})
        async for piece in pieces:
            yield piece


def _rate_limits() -> dict[str, str]:
    """OpenAI's headers; the numbers stay as they are, for the local run limits nothing by itself."""
    return {
        "openai-organization": "org-local",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "199000",
        "x-ratelimit-reset-tokens": "300ms",
    }


# How the servers differ.


def _totals(finish: Finish) -> Json:
    return {
        "prompt_tokens": finish.input_tokens,
        "completion_tokens": finish.output_tokens,
        "total_tokens": finish.input_tokens + finish.output_tokens,
    }


def _openai_usage(finish: Finish, reasoning: int) -> Json:
    return {
        **_totals(finish),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _deepseek_usage(finish: Finish, reasoning: int) -> Json:
    return {
        **_totals(finish),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": finish.input_tokens,
    }


def _vllm_usage(finish: Finish, reasoning: int) -> Json:
    return {**_totals(finish), "prompt_tokens_details": None}


# What OpenAI documents for chat completions, the deprecated parameters included.
_OPENAI_PARAMETERS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
_VLLM_RULES = ChatRules(limits=("max_completion_tokens", "max_tokens"), paired_tools=False)
_HABITS: dict[Flavour, _Habits] = {
    "openai": _Habits(
        ChatRules(limits=("max_completion_tokens",), known=_OPENAI_PARAMETERS, strict=True, most_stops=4),
        ChatStyle((), "call_", _openai_usage),
    ),
    "deepseek": _Habits(
        ChatRules(limits=("max_tokens",), most_stops=16),
        ChatStyle(("reasoning_content",), "call_00_", _deepseek_usage, usage_chunk="last"),
        keep_alive=True,
    ),
    "vllm": _Habits(
        _VLLM_RULES,
        ChatStyle(("reasoning",), "chatcmpl-tool-", _vllm_usage, tells_stop=True),
    ),
    "vllm-old": _Habits(
        _VLLM_RULES,
        ChatStyle(("reasoning_content",), "chatcmpl-tool-", _vllm_usage, tells_stop=True),
    ),
}
