"""OpenAI, DeepSeek and vLLM as the local run plays them: chat completions, embeddings and the list of models, each with its own
habits.

The `openai` client works with it unchanged. What is not played, `request` refuses by name.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from aiohttp import web

from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule
from pulumi_llm_local.upstreams.model import GenerationRequest, Json, LanguageModel, ModelTraits, Piece, UpstreamError
from pulumi_llm_local.upstreams.openai import errors, wire
from pulumi_llm_local.upstreams.openai.embeddings import read_embedding
from pulumi_llm_local.upstreams.openai.errors import ChatRefusal, ChatRefused
from pulumi_llm_local.upstreams.openai.request import ChatRequest, ChatRules, InvalidChat, read_chat, read_document
from pulumi_llm_local.upstreams.openai.wire import Flavour
from pulumi_llm_local.upstreams.server import Exchange, UpstreamServer, html_page, send_complete, send_stream
from pulumi_llm_local.upstreams.tokens import exceeds_context

_log = logging.getLogger(__name__)


def create_app(
    *,
    flavour: Flavour,
    models: Mapping[str, ModelTraits],
    model: LanguageModel,
    name: str = "",
    key: str | None = None,
    faults: Sequence[Fault] = (),
    funded: bool = True,
    keep_alive_s: float = 1.0,
) -> web.Application:
    """Return the upstream at any base URL: POST {base}/chat/completions and /embeddings, GET {base}/models and /models/{id}.

    Args:
        flavour: Which server it is.
        models: What each model accepts, by its name.
        model: What generates the answers.
        name: The upstream's name in a fault; by default the flavour.
        key: The API key that is valid. None: OpenAI and DeepSeek take any key, vLLM needs none.
        faults: What goes wrong.
        funded: False is a DeepSeek account without money (402).
        keep_alive_s: How often DeepSeek sends a sign of life before its answer begins, in seconds.
    """
    server = ChatServer(
        models=models,
        model=model,
        faults=FaultSchedule(faults, name or flavour),
        flavour=flavour,
        key=key,
        funded=funded,
        keep_alive_s=keep_alive_s if flavour == "deepseek" else None,
    )
    return server.application()


@dataclass(kw_only=True, eq=False)
class ChatServer(UpstreamServer[ChatRequest]):
    """A server of chat completions, in the words of its flavour."""

    flavour: Flavour
    key: str | None
    funded: bool
    keep_alive_s: float | None
    started: int = field(default_factory=lambda: int(time.time()))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = _rate_limits() if self.flavour == "openai" else {}
        headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        try:
            return await self._handle(request, headers)
        except ChatRefused as error:
            refusal = error.refusal
        except InvalidChat as error:
            refusal = errors.of_request(error, self.flavour)
        except UpstreamError as error:
            refusal = errors.of_model(error, self.flavour)
        except web.HTTPRequestEntityTooLarge:
            refusal = ChatRefusal(
                413, f"The request body is larger than {self.max_body_bytes:,} bytes.", "invalid_request_error"
            )
        except Exception:
            _log.exception("the local %s failed", self.flavour)
            refusal = errors.failed(self.flavour)
        if refusal.status == 401 and self.flavour in ("vllm", "vllm-old"):
            return web.json_response({"error": "Unauthorized"}, status=401)  # from its middleware, which has only this form
        return web.json_response(refusal.body(self.flavour), status=refusal.status, headers={**headers, **refusal.headers})

    async def _handle(self, request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        self._check_key(request)
        listing = f"{request.path}/".partition("/models/")
        if request.method == "GET" and listing[1]:
            return web.json_response(self._listed(listing[2].rstrip("/")), headers=headers)
        if request.method == "POST" and request.path.endswith("/embeddings") and self.flavour != "deepseek":
            return await self._embed(request, await request.read(), headers)
        if request.method != "POST" or not request.path.endswith("/chat/completions"):
            raise ChatRefused(ChatRefusal(404, f"Invalid URL ({request.method} {request.path})", "invalid_request_error"))
        return await self.answer(request, self._read(await request.read()), headers)

    async def _embed(self, request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
        document = read_document(body)
        traits = self.models[self._model_of(document)]
        if not traits.embedding:
            raise InvalidChat(f"You are not allowed to generate embeddings from {document['model']}", form=True)
        answer = read_embedding(document, self.flavour, traits.context_tokens)
        return await self.document(request, self.faults.next(), lambda: (answer, {}), headers)

    def fault_error(self, fault: FaultKind | None) -> ChatRefused | None:
        refusal = errors.of_fault(fault, self.flavour, GenerationRequest("", ModelTraits(frozenset()), ()))
        return None if refusal is None else ChatRefused(refusal)

    def refusal(self, call: ChatRequest, fault: FaultKind | None) -> ChatRefused | web.Response | None:
        if fault == "not-ready" and self.flavour in ("vllm", "vllm-old"):
            # The load balancer has no healthy target before the pool is ready, so it answers itself.
            return html_page("503 Service Temporarily Unavailable", 503)
        refusal = errors.of_fault(fault, self.flavour, call.generation)
        if refusal is None and exceeds_context(call.generation):
            refusal = errors.too_long(self.flavour, call.generation)
        return None if refusal is None else ChatRefused(refusal)

    def _check_key(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        wanted = self.key is not None or self.flavour in ("openai", "deepseek")
        if wanted and (not key or self.key not in (None, key)):
            raise ChatRefused(errors.unauthorized(self.flavour, key))
        if not self.funded:
            raise ChatRefused(errors.unpaid())

    def _listed(self, model: str) -> Json:
        if not model:
            return {"object": "list", "data": [self._listed(name) for name in self.models]}
        if model not in self.models:
            raise ChatRefused(errors.unknown_model(self.flavour, model))
        listed: Json = {"id": model, "object": "model", "created": self.started, "owned_by": self.flavour}
        if self.flavour in ("vllm", "vllm-old"):
            length = self.models[model].context_tokens
            listed |= {"owned_by": "vllm", "root": model, "parent": None, "max_model_len": length, "permission": []}
        return listed

    def _model_of(self, document: Json) -> str:
        model = document.get("model")
        if not isinstance(model, str):
            raise InvalidChat("Missing required parameter: 'model'.", "model", "missing_required_parameter", form=True)
        if model not in self.models:
            raise ChatRefused(errors.unknown_model(self.flavour, model))
        return model

    def _read(self, body: bytes) -> ChatRequest:
        document = read_document(body)
        model = self._model_of(document)
        if self.models[model].embedding:
            raise InvalidChat("This is not a chat model and thus not supported in the v1/chat/completions endpoint.", "model")
        chat = read_chat(document, model, self.models[model], _RULES[self.flavour])
        generation = chat.generation
        if self.flavour == "deepseek":
            most = generation.traits.max_output_tokens
            if (generation.max_tokens or 1) > most:
                raise InvalidChat(f"Invalid max_tokens value, the valid range of max_tokens is [1, {most}]")
            thinking: Any = document.get("thinking")
            if isinstance(thinking, dict) and cast(Json, thinking).get("type") == "disabled":
                return replace(chat, generation=replace(generation, traits=replace(generation.traits, reasoning=False)))
        return chat

    async def stream(self, exchange: Exchange[ChatRequest], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        return await send_stream(
            exchange,
            self._frames(pieces, exchange.call),
            {"Content-Type": wire.EVENT_STREAM, "Cache-Control": "no-cache"},
            error_frame=self._error_frame,
            malformed=wire.data_frame(b'{"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": [{"index": 0, "del'),
        )

    async def _frames(self, pieces: AsyncGenerator[Piece, None], chat: ChatRequest) -> AsyncGenerator[bytes, None]:
        style, told = wire.STYLES[self.flavour], chat.top_logprobs
        chunks = wire.ChatChunks(chat.generation.model_id, style, include_usage=chat.include_usage, top_logprobs=told)
        async with aclosing(_with_pauses(pieces, self.keep_alive_s)) as awaited:
            async for piece in awaited:
                if piece is None:
                    yield wire.KEEP_ALIVE
                    continue
                for chunk in chunks.of(piece):
                    yield wire.frame(chunk)
        yield wire.DONE

    def _error_frame(self, error: UpstreamError) -> bytes:
        event = wire.frame(errors.of_model(error, self.flavour).body(self.flavour))
        return event + wire.DONE if self.flavour in ("vllm", "vllm-old") else event

    async def complete(self, exchange: Exchange[ChatRequest], pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        waiting = web.StreamResponse(headers={**exchange.headers, "Content-Type": "application/json"})
        model, style, told = exchange.call.generation.model_id, wire.STYLES[self.flavour], exchange.call.top_logprobs
        chunks = wire.ChatChunks(model, style, include_usage=True, top_logprobs=told)
        collected: list[Json] = []
        try:
            async with aclosing(_with_pauses(pieces, self.keep_alive_s)) as awaited:
                async for piece in awaited:
                    if piece is not None:
                        collected += chunks.of(piece)
                        continue
                    if not waiting.prepared:
                        await waiting.prepare(exchange.request)
                    await waiting.write(b"\n")
            body = wire.render_complete(collected)
        except UpstreamError as error:
            if not waiting.prepared:
                raise
            body = errors.of_model(error, self.flavour).body(self.flavour)
        encoded = json.dumps(body, ensure_ascii=False).encode()
        return await send_complete(exchange, encoded, begun=waiting if waiting.prepared else None)


async def _with_pauses(pieces: AsyncGenerator[Piece, None], seconds: float | None) -> AsyncGenerator[Piece | None, None]:
    """Yield the pieces, and before the first of them a None every `seconds`."""
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
    """Return OpenAI's headers. The numbers never change, because the local run itself limits nothing."""
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


_VLLM_RULES = ChatRules(limits=("max_completion_tokens", "max_tokens"), paired_tools=False)
_RULES: dict[Flavour, ChatRules] = {
    "openai": ChatRules(
        limits=("max_completion_tokens",), strict=True, most_stops=4, names="^[a-zA-Z0-9_-]{1,64}$", longest_id=40
    ),
    # https://api-docs.deepseek.com/api/create-chat-completion: the response_format is text or json_object.
    "deepseek": ChatRules(limits=("max_tokens",), most_stops=16, json_schema=False),
    "vllm": _VLLM_RULES,
    "vllm-old": _VLLM_RULES,
}
