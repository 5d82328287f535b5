"""What is recorded of a request: one JSON line, under the names of OpenTelemetry's GenAI conventions.

No text of a prompt or an answer is ever in it. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

import sys
import time
from typing import Any

import msgspec

from llm_gateway.auth import Caller
from llm_gateway.errors import GatewayError
from llm_gateway.events import Done, Event, Start, Usage

_encode = msgspec.json.Encoder().encode


class Record:
    """The record of one request, filled while it runs and written by `close`."""

    def __init__(self, request_id: str, caller: Caller, model: str) -> None:
        self._began = time.perf_counter()
        self._fields: dict[str, Any] = {
            "level": "INFO",
            "message": "chat",
            "request_id": request_id,
            "tenant": caller.tenant,
            "api_key": caller.key,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
        }

    def target(self, provider: str, model: str) -> None:
        self._fields["gen_ai.provider.name"] = "aws.bedrock" if provider == "bedrock" else provider
        self._fields["gen_ai.response.model"] = model

    def event(self, event: Event) -> None:
        match event:
            case Start():
                self._fields["time_to_first_event_ms"] = self._elapsed_ms()
            case Usage(input_tokens=read, output_tokens=written):
                self._fields["gen_ai.usage.input_tokens"] = read
                self._fields["gen_ai.usage.output_tokens"] = written
            case Done(stop_reason=reason):
                self._fields["gen_ai.response.finish_reasons"] = [reason]
            case _:
                pass

    def error(self, error: GatewayError) -> None:
        self._fields["level"] = "ERROR" if error.status >= 500 else "WARN"
        self._fields["error.type"] = error.code
        self._fields["error.message"] = error.message
        if error.detail is not None:
            self._fields["error.detail"] = error.detail

    def abandoned(self) -> None:
        """The caller went away, or stopped the answer, before its end."""
        self._fields["level"] = "WARN"
        self._fields["error.type"] = "abandoned"

    def close(self) -> None:
        self._fields["duration_ms"] = self._elapsed_ms()
        write_log(self._fields)

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 1)


def write_log(fields: dict[str, Any]) -> None:
    """One line of JSON on standard output, where Lambda collects it."""
    sys.stdout.buffer.write(_encode(fields) + b"\n")
    sys.stdout.buffer.flush()
