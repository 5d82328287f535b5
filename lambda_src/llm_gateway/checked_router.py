"""Stages 4 and 8: what a conversation may hold, by filters of its prompt and by a guardrail of Bedrock.

The filters look at every text of a request that its caller controls (`llm_gateway.request_texts`), in the order in which they
are set. What they let pass, the guardrail sees, once the ledger has room for the call: it costs money. A provider sees what
both let pass. An answer is seen by the guardrail alone: its text, its reasoning, and the arguments of its tool calls.

The guardrail is asked by ApplyGuardrail for all providers alike, Bedrock's Converse too, though that takes a guardrail itself
(`guardrailConfig`). Converse would save a call, some 0.2 s before the first token, and costs the same text units. But it
does not look at reasoning, nor at the arguments of tool calls and the descriptions of tools; embeddings, imported models and
other providers have no such switch; a prompt that it blocks reaches Bedrock's model API all the same, and its answer is a text
of the guardrail's in the place of the model's, in which the policy is found only by its trace. With one way for all, one set of
tests proves it for all, and a fallback from Bedrock to another provider cannot lose it.
https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-converse-api.html

In shadow mode nothing waits: the prompt is checked while the model answers, and the answer when it has been sent.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from llm_gateway import errors
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Event, Reasoning, ToolCallDelta, Usage
from llm_gateway.identity.caller import Caller
from llm_gateway.request import ChatRequest
from llm_gateway.request_texts import characters, with_texts
from llm_gateway.router import Attempt, InnerRouter, Opened, Reservation
from llm_gateway.routes import Alias
from llm_gateway.safety import Safety as Settings
from llm_gateway.stages.answer_windows import Windows
from llm_gateway.stages.prompt_filters import TextFilter, text_filters

if TYPE_CHECKING:
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.stages.guardrail import Assessment, Guardrail, Source

# Seconds after its answer that a check in shadow mode may take.
_SHADOW_SECONDS = 10.0
# Checks at once of single passages: the guardrail's quotas are an account's.
_PASSAGES_AT_ONCE = 4


class Record(Protocol):
    """What is recorded of a request."""

    def policy(self, action: str, policy: str) -> None: ...


class Safety:
    """The checks of a deployment."""

    def __init__(self, settings: Settings, guardrail: "Guardrail | None" = None) -> None:
        self._settings = settings
        self._guardrail = guardrail
        self._filters = tuple(text_filters(settings.filters))

    def as_set(self, settings: Settings) -> "Safety":
        """Return the same checks with other settings."""
        return Safety(settings, self._guardrail)

    def around(self, router: InnerRouter, record: Record) -> "CheckedRouter":
        """Return a router that checks one request, and its answer."""
        return CheckedRouter(self._settings, self._filters, self._guardrail, router, record)


class CheckedRouter:
    """Opens an answer as `Router` does. The prompt is checked before, and its answer before it leaves."""

    def __init__(
        self,
        settings: Settings,
        filters: Sequence[TextFilter],
        guardrail: "Guardrail | None",
        router: InnerRouter,
        record: Record,
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._guardrail = guardrail
        self._use = settings.guardrail
        self._router = router
        self._record = record
        self._deadline = math.inf
        self._checked: ChatRequest | EmbeddingRequest | None = None  # as the guardrail lets it pass
        self._shadows: list[asyncio.Task[None]] = []
        self._seen: list[str] = []  # the answer, in shadow mode

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
    ) -> Opened:
        """Return the first of the answer that has passed, and the rest.

        Raises what `Router.open` does, and the error 400 of the policy that blocks the prompt or the beginning of the answer.
        The generator raises it for the rest.
        """
        self._deadline = deadline
        try:
            request = self._filtered(request)
            check = self._prompt if self._use is not None and self._use.prompts else None
            opened = await self._router.open(request, alias, deadline, attempts, caller, reservation, check)
            return await self._answer(opened, stream=request.stream)
        except GatewayError as error:
            await self._finish()
            self._forget_words(error)
            raise
        except BaseException:
            for task in self._shadows:
                task.cancel()
            raise

    async def _prompt(self, request: "ChatRequest | EmbeddingRequest") -> "ChatRequest | EmbeddingRequest":
        """Return the request as the guardrail lets it pass, which is asked once. Raises the error 400 of what blocks it."""
        if self._checked is None:
            self._checked = await self._guarded(request)
        return self._checked

    async def _guarded(self, request: "ChatRequest | EmbeddingRequest") -> "ChatRequest | EmbeddingRequest":
        assert self._use is not None
        texts = _texts(request if self._use.system_prompts else _without_system_prompts(request))
        if self._use.shadow:
            self._watch(self._shadow("INPUT", texts))
            return request
        passed = dict(zip(texts, await self._assessed("INPUT", texts), strict=True))
        return with_texts(request, lambda text: passed.get(text, text))

    async def passages(self, texts: Sequence[str]) -> Sequence[str | None]:
        """Return passages of documents as they may stand in the prompt; None for each that the guardrail blocks.

        One check looks at all of them. It does not say which one is blocked, so in that case each is looked at by itself. The
        filters look at the words of callers alone. Raises the error 503.
        """
        if self._use is None or not self._use.prompts:
            return texts
        if self._use.shadow:
            self._watch(self._shadow("INPUT", texts))
            return texts
        assessment = await self._assess("INPUT", texts)
        if assessment is None:
            return texts
        if assessment.blocked is None:
            self._note(assessment)
            return assessment.texts
        room = asyncio.Semaphore(_PASSAGES_AT_ONCE)

        async def alone(text: str) -> str | None:
            async with room:
                assessment = await self._assess("INPUT", [text])
            if assessment is None:  # it may be the one that is blocked
                return None
            self._note(assessment, blocked_as="passage_blocked")
            return assessment.texts[0] if assessment.blocked is None else None

        return await asyncio.gather(*map(alone, texts))

    async def _answer(self, opened: Opened, *, stream: bool) -> Opened:
        if self._use is None:
            return opened
        if self._use.shadow:
            rest = self._watched(opened)
        elif self._use.answers and opened.target.kind == "chat":
            windows = Windows(self._passed, self._use.window_characters if stream else 0)
            rest = self._windowed(opened, windows, self._use.window_seconds)
        else:
            return opened
        try:
            return msgspec.structs.replace(opened, first=await anext(rest), rest=rest)
        except GatewayError as error:
            self._router.failed(opened.target, error)
            raise

    async def _finish(self) -> None:
        """Wait for the checks in shadow mode, and record what they have found."""
        if self._seen:
            self._watch(self._shadow("OUTPUT", ["".join(self._seen)]))
            self._seen = []
        if self._shadows:
            await asyncio.wait(self._shadows, timeout=_SHADOW_SECONDS)
            for task in self._shadows:
                task.cancel()

    def _forget_words(self, error: GatewayError) -> None:
        """Take an answer's words out of an error: one that says why it has not the form that was asked for repeats some."""
        if error.policy.paid and self._use is not None and self._use.answers:
            error.message = errors.invalid_output(reason="it is no such JSON").message
            error.detail = None

    # The filters.

    def _filtered(self, request: "ChatRequest | EmbeddingRequest") -> "ChatRequest | EmbeddingRequest":
        for each in self._settings.filters:
            if each.name == "length" and (length := characters(request)) > each.most:
                then = f": it has {length:,} characters, and may have {each.most:,}"
                self._found("length", each.mode, "prompt", then)
        for text_filter in self._filters:

            def visit(text: str, text_filter: Any = text_filter) -> str:
                masked, policies = text_filter.found(text)
                for policy in policies:
                    self._found(policy, text_filter.mode, "prompt")
                return masked if text_filter.mode == "mask" else text

            request = with_texts(request, visit)
        return request

    def _found(self, policy: str, mode: str, part: str, then: str = "") -> None:
        if mode == "block":
            self._record.policy("blocked", policy)
            raise errors.content_policy_violation(part=part, policy=policy, then=then)
        self._record.policy("masked" if mode == "mask" else "shadow", policy)

    # The guardrail.

    async def _passed(self, texts: Sequence[str]) -> Sequence[str]:
        return await self._assessed("OUTPUT", texts)

    async def _assessed(self, source: "Source", texts: Sequence[str]) -> Sequence[str]:
        """Return the texts as they may be passed on. Raises the error 400 of a policy that blocks them, or 503."""
        assessment = await self._assess(source, texts)
        if assessment is None:
            return texts
        self._note(assessment)
        if (blocked := assessment.blocked) is not None:
            part = "prompt" if source == "INPUT" else "answer"
            raise errors.content_policy_violation(part=part, policy=blocked.policy, then="")
        return assessment.texts

    async def _assess(self, source: "Source", texts: Sequence[str]) -> "Assessment | None":
        """Return what the guardrail says; None where nothing is to be checked, or it fails and that is to be let pass."""
        assert self._guardrail is not None and self._use is not None
        if not texts:
            return None
        try:
            return await self._guardrail.assess(source, texts, self._deadline)
        except GatewayError:
            self._record.policy("failed", "guardrail")
            if self._use.fail_open:
                return None
            raise

    def _note(self, assessment: "Assessment", *, blocked_as: str = "blocked") -> None:
        for finding in assessment.findings:
            action = {"BLOCKED": blocked_as, "ANONYMIZED": "masked"}.get(finding.action, "shadow")
            self._record.policy(action, finding.policy)

    async def _shadow(self, source: "Source", texts: Sequence[str]) -> None:
        assert self._guardrail is not None
        if not texts:
            return
        try:
            assessment = await self._guardrail.assess(source, texts, asyncio.get_running_loop().time() + _SHADOW_SECONDS)
        except GatewayError:
            self._record.policy("failed", "guardrail")
            return
        for finding in assessment.findings:
            self._record.policy("shadow", finding.policy)

    def _watch(self, check: Coroutine[Any, Any, None]) -> None:
        self._shadows.append(asyncio.create_task(check))

    async def _watched(self, opened: Opened) -> AsyncGenerator[list[Event], None]:
        """Yield the events of an answer as they come, and keep its texts for a check at the end."""
        rest = opened.rest
        try:
            self._see(opened.first)
            yield opened.first
            async for batch in rest:
                self._see(batch)
                yield batch
        finally:
            await rest.aclose()
            await self._finish()

    def _see(self, batch: Sequence[Event]) -> None:
        if self._use is None or not self._use.answers:
            return
        for event in batch:
            match event:
                case Delta(text=text) | Reasoning(text=text) | ToolCallDelta(arguments=text):
                    self._seen.append(text)
                case _:
                    pass

    async def _windowed(self, opened: Opened, windows: Windows, seconds: float) -> AsyncGenerator[list[Event], None]:
        """Yield what may leave of an answer, when its windows have passed."""
        rest, reading = opened.rest, None
        loop = asyncio.get_running_loop()
        usage: Usage | None = None
        batch: list[Event] | None = opened.first
        due = None
        try:
            while True:
                if batch is not None:
                    usage = next((event for event in batch if isinstance(event, Usage)), usage)
                    windows.add(batch)
                    batch = None
                if windows.holds_text and due is None:
                    due = loop.time() + seconds
                if windows.is_full or (due is not None and due <= loop.time()):
                    due = None
                    try:
                        events = await windows.passed()
                    except GatewayError as error:
                        error.usage = usage  # the answer is paid for nevertheless
                        raise
                    if events:
                        yield events
                    if windows.is_complete:
                        return
                    continue
                if reading is None:
                    reading = asyncio.ensure_future(anext(rest, None))
                await asyncio.wait([reading], timeout=None if due is None else due - loop.time())
                if reading.done():
                    batch, reading = reading.result(), None
                    if batch is None:
                        raise errors.stream_interrupted(detail="the provider's events ended without done")
        except GatewayError as error:
            self._forget_words(error)
            raise
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait([reading])
            await rest.aclose()


def _without_system_prompts(request: "ChatRequest | EmbeddingRequest") -> "ChatRequest | EmbeddingRequest":
    """Return the request without what its program says, and not its user: system prompts and descriptions of tools."""
    if not isinstance(request, ChatRequest):
        return request
    messages = tuple(message for message in request.messages if message.role != "system")
    return msgspec.structs.replace(request, system=None, messages=messages, tools=(), response_format=None)


def _texts(request: "ChatRequest | EmbeddingRequest") -> list[str]:
    found: dict[str, None] = {}

    def visit(text: str) -> str:
        found[text] = None
        return text

    with_texts(request, visit)
    return list(found)
