"""The record of a request: one line of JSON, with the names of OpenTelemetry's GenAI conventions.

It holds no text of a prompt or an answer, and of what a caller writes at most `errors.MOST_SHOWN` characters: providers repeat
it in their errors, and exceptions in their texts. With `Metrics`, CloudWatch makes metrics of some of its fields.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from llm_gateway.errors import MOST_SHOWN, GatewayError, clipped
from llm_gateway.events import CacheUse, Done, Event, Usage
from llm_gateway.identity.caller import Caller
from llm_gateway.metrics import MESSAGES, Metrics
from llm_gateway.request import ChatRequest, Kind
from llm_gateway.router import Attempt
from llm_gateway.routes import BEDROCK, Alias, Target

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingRequest

_encode = msgspec.json.Encoder().encode

_OPERATION_NAMES: dict[Kind, str] = dict(zip(("chat", "embedding"), MESSAGES, strict=True))


class Record:
    """The record of one request. It is filled while the request runs and written by `close`."""

    def __init__(
        self,
        request_id: str,
        caller: Caller,
        request: "ChatRequest | EmbeddingRequest",
        metrics: Metrics | None = None,
        *,
        costs: bool = False,
    ) -> None:
        self.attempts: list[Attempt] = []
        self._request = request
        self._metrics = metrics
        self._has_costs = costs or metrics is not None
        self._alias: Alias | None = None
        self._usage: Usage | None = None
        self._is_cached = False
        self._status = 200
        self._began = time.perf_counter()
        self._ended = 0
        self._fields: dict[str, Any] = {
            "level": "INFO",
            "message": _OPERATION_NAMES[request.kind],
            "request_id": request_id,
            "tenant": caller.tenant,
            "api_key": caller.key,
            "gen_ai.operation.name": _OPERATION_NAMES[request.kind],
            "gen_ai.request.model": clipped(request.model),
        }

    @property
    def fields(self) -> Mapping[str, Any]:
        """What is written."""
        return self._fields

    @property
    def usage(self) -> Usage | None:
        """The tokens of the answer, as far as they are known."""
        return self._usage

    @property
    def status(self) -> int:
        """The status of the error that the request ended with, 200 without one."""
        return self._status

    @property
    def ended(self) -> int:
        """When it was closed, by `time.monotonic_ns`."""
        return self._ended

    def alias(self, alias: Alias) -> None:
        """Record the alias. The caller may have named none."""
        self._alias = alias
        self._fields["gen_ai.request.model"] = alias.name

    def policy(self, action: str, policy: str) -> None:
        """Record that a policy of safety has acted: "blocked", "masked", "shadow" (it would have), "failed"."""
        names: list[str] = self._fields.setdefault(f"safety.{action}", [])
        if policy not in names:
            names.append(policy)

    def decided(self, rule: str, decision: str) -> None:
        """Record what a rule has changed or refused."""
        self._fields.setdefault("policy.decisions", []).append(f"{rule}: {decision}")

    @property
    def has_alias(self) -> bool:
        """Whether the request's model is an alias that its caller may use."""
        return self._alias is not None

    @property
    def is_unchecked(self) -> bool:
        """Whether something was passed on that could not be checked."""
        return "safety.failed" in self._fields

    def cached(self, use: CacheUse) -> None:
        """Record what the cache of answers has done."""
        self._is_cached = use.status == "hit"
        self._fields["cache.status"] = use.status
        if use.age is not None:
            self._fields["cache.age_s"] = use.age

    def flagged(self, version: str) -> None:
        """Record the version of the feature flags, empty for those of the deployment itself."""
        if version:
            self._fields["flags.version"] = version

    def retrieved(self, request: ChatRequest, passages: int, seconds: float, failure: GatewayError | None = None) -> None:
        """Record how many passages were found, the time that it took, and why there are none. A provider may repeat what the
        request now holds."""
        self._fields |= {"retrieval.passages": passages, "retrieval.duration_ms": round(seconds * 1000, 1)}
        if failure is not None:
            self._fields["retrieval.error"] = _without_words(failure.cause, self._request)
        self._request = request

    def started(self, target: Target) -> tuple[int, float, float]:
        """Record the target that has begun to answer, or has answered what is cached.

        Returns the number of calls, the milliseconds of those before the last of them, and those until it began to answer.
        What the gateway does itself, such as its checks of the prompt and of the answer's beginning, is in neither.
        """
        elapsed_ms = self._elapsed_ms()
        self._target(target)
        self._fields["time_to_first_event_ms"] = elapsed_ms
        if self._is_cached:
            return len(self.attempts), 0.0, elapsed_ms
        first, last = self.attempts[0], self.attempts[-1]
        return len(self.attempts), round((last.began - first.began) * 1000, 1), round(last.seconds * 1000, 1)

    def done(self, events: Sequence[Event]) -> Usage | None:
        """Record the last batch, which ends with `Usage` and `Done`, and return the former, None if nothing was called."""
        for event in events[-2:]:
            match event:
                case Usage() if self._is_cached:
                    self._fields["cache.saved_tokens"] = event.input_tokens + event.output_tokens
                case Usage():
                    self._used(event)
                case Done(stop_reason=reason):
                    self._fields["gen_ai.response.finish_reasons"] = [reason]
                case _:
                    pass
        return self._usage

    def error(self, error: GatewayError, cause: Exception | None = None) -> None:
        """Record a failure, with the traceback of `cause` if the service itself failed."""
        self._fields |= _error_fields(error)
        self._status = error.status
        if error.usage is not None and all(attempt.error is not error for attempt in self.attempts):
            self._used(error.usage)
        if error.detail is not None:
            self._fields["error.detail"] = _without_words(error.detail, self._request)
        if cause is not None:
            self._fields["exception.stacktrace"] = stacktrace(cause)

    def stopped(self, *, repeated: bool) -> None:
        """Record that the caller disconnected before the end of the answer; `repeated`: that the request has been sent before,
        so that no model was called."""
        self._fields |= {"repeated": True} if repeated else {"level": "WARN", "error.type": "abandoned"}

    def close(self) -> None:
        """Write the record."""
        self._ended = time.monotonic_ns()
        failed = [(attempt.target.name, attempt.error) for attempt in self.attempts if attempt.error is not None]
        if failed:
            self._fields["failed_attempts"] = [f"{name}: {error.code}" for name, error in failed]
            details = [error.cause for _, error in failed]
            self._fields["failed_attempts.details"] = [_without_words(detail, self._request) for detail in details]
            self._target(self.attempts[-1].target)
            if used := [error.usage for _, error in failed if error.usage is not None]:
                self._fields["failed_attempts.input_tokens"] = sum(usage.input_tokens for usage in used)
                self._fields["failed_attempts.output_tokens"] = sum(usage.output_tokens for usage in used)
        self._fields["duration_ms"] = self._elapsed_ms()
        if self._has_costs and (cost := self._cost()) is not None:
            self._fields["cost_usd"] = cost
        if self._metrics is not None:
            self._add_metrics(self._metrics)
        write_log(self._fields)

    def _used(self, usage: Usage) -> None:
        self._usage = usage
        self._fields["gen_ai.usage.input_tokens"] = usage.input_tokens
        self._fields["gen_ai.usage.output_tokens"] = usage.output_tokens
        if usage.cached_tokens:
            self._fields["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if usage.cache_write_tokens:
            self._fields["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens

    def _add_metrics(self, metrics: Metrics) -> None:
        status, fields = self._status, self._fields
        fields["server_errors"], fields["throttles"] = int(status >= 500), int(status == 429)
        fields["client_errors"] = int(400 <= status < 500 and status != 429)
        if fields.get("cache.status") in ("hit", "miss"):
            fields["cache.hits"] = int(self._is_cached)
        fields["_aws"] = metrics.describe(fields, time.time(), known_alias=self._alias is not None)

    def _cost(self) -> float | None:
        """Return what the calls cost whose usage is known, in US dollars; None where there is none, or it has no price."""
        from llm_gateway import charge  # only where costs are counted

        used = [(attempt.error.usage, attempt.call) for attempt in self.attempts if attempt.error and attempt.error.usage]
        if self._usage is not None and self.attempts:
            used.append((self._usage, self.attempts[-1].call))
        if self._is_cached:
            return 0.0
        if not used or any(call.target.price is None for _, call in used):
            return None
        return sum(charge.of_usage(usage, call).micro_usd for usage, call in used) / 1e6

    def _target(self, target: Target) -> None:
        self._fields["gen_ai.provider.name"] = "aws.bedrock" if target.provider == BEDROCK else target.provider
        self._fields["gen_ai.response.model"] = target.model
        self._fields["target"] = target.name

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 1)


def record_refusal(request_id: str, method: str, path: str, error: GatewayError) -> None:
    """Write the line of a request that was refused before the pipeline: an unknown route, a missing key, a wrong field."""
    write_log(
        {
            "message": "refused",
            "request_id": request_id,
            "http.request.method": method,
            "url.path": clipped(path),
            **_error_fields(error),
        }
    )


def _error_fields(error: GatewayError) -> dict[str, Any]:
    """Return the fields of an error for the log, and mark the error as recorded.

    The text of an error that is the caller's repeats what the caller wrote, so the log has only its code and its field.
    """
    error.recorded = True
    fields: dict[str, Any] = {"level": "ERROR" if error.status >= 500 else "WARN", "error.type": error.code}
    if error.status >= 500 and not error.policy.paid:  # whose text repeats the caller's schema and the model's answer
        fields["error.message"] = error.message
    elif error.param is not None:
        fields["error.param"] = error.param
    return fields if error.detail is None else {**fields, "error.detail": error.detail}


# A text is compared with the caller's words in blocks of this length, so that less than two blocks of them are left.
_BLOCK = MOST_SHOWN // 2


def _without_words(text: str, request: "ChatRequest | EmbeddingRequest") -> str:
    """Return a provider's text without what it repeats of the request."""
    words = list(_words(request))
    blocks = (text[at : at + _BLOCK] for at in range(0, len(text), _BLOCK))
    return "".join("…" if len(block) == _BLOCK and any(block in each for each in words) else block for block in blocks)


def _words(request: "ChatRequest | EmbeddingRequest") -> Iterator[str]:
    """Yield every text of a request."""
    if not isinstance(request, ChatRequest):
        yield from (request.user or "", *request.texts)
        return
    yield from (request.system or "", *request.sampling.stop)
    for message in request.messages:
        yield from (message.text, message.reasoning, message.tool_call_id)
        for part in message.parts:
            if not isinstance(part, str):
                yield from (part.url, part.name, part.data)
        for block in message.reasoning_blocks:
            yield from (block.text, block.signature, block.data)
        for call in message.tool_calls:
            yield from (call.id, call.name, _encode(call.arguments).decode())
    for tool in request.tools:
        yield from (tool.name, tool.description, _encode(tool.parameters).decode())
    if (wanted := request.response_format) is not None:
        yield from (wanted.name, wanted.description, _encode(wanted.schema).decode())
    for value in (*request.hints.values(), *request.rare.values()):
        yield value if isinstance(value, str) else _encode(value).decode()


def stacktrace(error: BaseException) -> str:
    """Return the traceback of an unexpected exception and of its causes. Of their texts, which may repeat a caller's, it has
    the beginnings."""
    import traceback

    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append("".join(traceback.format_tb(cause.__traceback__)) + f"{type(cause).__name__}: {clipped(str(cause))}\n")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "The above exception led to the next:\n".join(reversed(parts))


def write_warning(text: str, **fields: str) -> None:
    """Log what has failed without a caller's notice."""
    write_log({"level": "WARN", "message": text, **fields})


def write_log(fields: dict[str, Any]) -> None:
    """Write one line of JSON to standard output, from which Lambda takes it."""
    sys.stdout.buffer.write(_encode(fields) + b"\n")
    sys.stdout.buffer.flush()
