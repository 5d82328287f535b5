"""The record of a request: one line of JSON, with the names of OpenTelemetry's GenAI conventions.

It never holds text of a prompt or an answer. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from llm_gateway.errors import GatewayError, clipped
from llm_gateway.events import Done, Event, Usage
from llm_gateway.identity.caller import Caller
from llm_gateway.router import Attempt
from llm_gateway.routes import BEDROCK, Alias, Target

_encode = msgspec.json.Encoder().encode


class Record:
    """The record of one request. It is filled while the request runs and written by `close`."""

    def __init__(self, request_id: str, caller: Caller, model: str) -> None:
        self.attempts: list[Attempt] = []
        self._began = time.perf_counter()
        self._fields: dict[str, Any] = {
            "level": "INFO",
            "message": "chat",
            "request_id": request_id,
            "tenant": caller.tenant,
            "api_key": caller.key,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": clipped(model),
        }

    def alias(self, alias: Alias) -> None:
        """Record the alias. The caller may have named none."""
        self._fields["gen_ai.request.model"] = alias.name

    def started(self, target: Target) -> tuple[int, float, float]:
        """Record the target that has begun to answer.

        Returns the number of calls, the milliseconds before the last of them, and those until it began to answer.
        """
        first_token_ms = round(self.attempts[-1].seconds * 1000, 1)
        elapsed_ms = self._elapsed_ms()
        self._target(target)
        self._fields["time_to_first_event_ms"] = elapsed_ms
        return len(self.attempts), max(0.0, round(elapsed_ms - first_token_ms, 1)), first_token_ms

    def done(self, events: Sequence[Event]) -> None:
        """Record the last batch, which ends with `Usage` and `Done`."""
        for event in events[-2:]:
            match event:
                case Usage(input_tokens=read, output_tokens=written):
                    self._fields["gen_ai.usage.input_tokens"] = read
                    self._fields["gen_ai.usage.output_tokens"] = written
                case Done(stop_reason=reason):
                    self._fields["gen_ai.response.finish_reasons"] = [reason]
                case _:
                    pass

    def error(self, error: GatewayError, cause: Exception | None = None) -> None:
        """Record a failure, with the traceback of `cause` if the service itself failed."""
        self._fields |= _error_fields(error)
        if cause is not None:
            import traceback

            self._fields["exception.stacktrace"] = "".join(traceback.format_exception(cause))

    def abandoned(self) -> None:
        """Record that the caller disconnected before the end of the answer."""
        self._fields["level"] = "WARN"
        self._fields["error.type"] = "abandoned"

    def close(self) -> None:
        failed = [(attempt.target.name, attempt.error) for attempt in self.attempts if attempt.error is not None]
        if failed:
            self._fields["failed_attempts"] = [f"{name}: {error.code}" for name, error in failed]
            self._fields["failed_attempts.details"] = [error.detail or error.message for _, error in failed]
            self._target(self.attempts[-1].target)
        self._fields["duration_ms"] = self._elapsed_ms()
        write_log(self._fields)

    def _target(self, target: Target) -> None:
        self._fields["gen_ai.provider.name"] = "aws.bedrock" if target.provider == BEDROCK else target.provider
        self._fields["gen_ai.response.model"] = target.model

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
    if error.status >= 500:
        fields["error.message"] = error.message
    elif error.param is not None:
        fields["error.param"] = error.param
    return fields if error.detail is None else {**fields, "error.detail": error.detail}


def write_log(fields: dict[str, Any]) -> None:
    """Write one line of JSON to standard output, from which Lambda takes it."""
    sys.stdout.buffer.write(_encode(fields) + b"\n")
    sys.stdout.buffer.flush()
