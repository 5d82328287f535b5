"""The spans and the measurements of a request, made of its record when it ends.

The names are those of OpenTelemetry's semantic conventions, version 1.41.1, the last one with those of generative AI. The names
of our own are the record's: ``tenant``, ``request_id``, ``target``.
https://github.com/open-telemetry/semantic-conventions/tree/v1.41.1/docs/gen-ai
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from llm_gateway.call import ModelCall
from llm_gateway.errors import clipped
from llm_gateway.events import Usage
from llm_gateway.http.wire import parse_url
from llm_gateway.router import Attempt
from llm_gateway.routes import BEDROCK, Endpoint
from llm_gateway.telemetry import Record
from llm_gateway.trace import Call, Trace

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.1"
# The longest text of an attribute: what callers and providers write has no bound of its own.
_MOST_TEXT = 256

Value = str | int | float | bool | Sequence[str]
Attributes = dict[str, Value]


class Span(msgspec.Struct, frozen=True):
    """A span. Times are in nanoseconds since the epoch. `error` is the code of the error that it ended with, empty without one.
    `remote_parent`: its parent is the caller's."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: Literal["server", "client"]
    began: int
    ended: int
    attributes: Attributes
    error: str = ""
    state: str = ""
    remote_parent: bool = False


class Measurement(NamedTuple):
    """A value of a metric, which `histograms.METRICS` describes."""

    metric: str
    value: float
    attributes: Attributes


class Server(NamedTuple):
    """The server of a provider, and what the conventions call it."""

    provider: str
    address: str = ""
    port: int = 0


def servers(endpoints: Sequence[Endpoint], bedrock_url: str) -> dict[str, Server]:
    """Return the servers of the providers by their names."""
    found = {BEDROCK: _server("aws.bedrock", bedrock_url)}
    for endpoint in endpoints:
        found[endpoint.name] = _server("anthropic" if endpoint.type == "anthropic" else "", endpoint.base_url, endpoint.name)
    return found


# The conventions' names of those who speak OpenAI's protocol, by their hosts.
_KNOWN: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}


def _server(provider: str, url: str, name: str = "") -> Server:
    origin = parse_url(url).origin
    return Server(provider or _KNOWN.get(origin.host, name), origin.host, origin.port)


def spans(trace: Trace, record: Record, known: Mapping[str, Server], ended: int) -> Iterator[Span]:
    """Yield the span of the request, and one for each call of a model. `ended` is in nanoseconds since the epoch."""
    fields = record.fields
    error = str(fields.get("error.type", ""))
    attributes: Attributes = {}
    if trace.route:
        status = 200 if "time_to_first_event_ms" in fields else record.status
        attributes = {
            "http.request.method": trace.method,
            "http.route": trace.route,
            "http.response.status_code": status,
        }
    attributes |= {
        "gen_ai.operation.name": str(fields["gen_ai.operation.name"]),
        "tenant": clipped(str(fields["tenant"]), _MOST_TEXT),
        "request_id": clipped(str(fields["request_id"]), _MOST_TEXT),
    }
    if record.has_alias:  # else it is any text of the caller's, and may hold personal data
        attributes["gen_ai.request.model"] = str(fields["gen_ai.request.model"])
    for name in ("target", "cache.status"):
        if name in fields:
            attributes[name] = str(fields[name])
    if error:
        attributes["error.type"] = error
    yield Span(
        trace.trace_id,
        trace.span_id,
        trace.parent_id,
        f"{trace.method} {trace.route}" if trace.route else f"websocket {fields['gen_ai.operation.name']}",
        "server",
        trace.began,
        ended,
        attributes,
        # A request that its caller did wrong is none of the server's failures.
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status
        error if record.status >= 500 else "",
        trace.state,
        remote_parent=bool(trace.parent_id),
    )
    for call, attempt, failure in _calls(trace, record):
        yield Span(
            trace.trace_id,
            call.span_id,
            trace.span_id,
            f"{fields['gen_ai.operation.name']} {clipped(attempt.target.model, _MOST_TEXT)}",
            "client",
            call.began,
            ended if _is_last(attempt, record) and attempt.error is None else call.began + int(attempt.seconds * 1e9),
            {**_call_attributes(record, attempt, known, failure), **_request_attributes(attempt), **_answer(record, attempt)},
            failure,
            trace.state,
        )


def measurements(trace: Trace, record: Record, known: Mapping[str, Server], ended: int) -> Iterator[Measurement]:
    """Yield what the request adds to the metrics."""
    for call, attempt, failure in _calls(trace, record):
        attributes = _call_attributes(record, attempt, known, failure)
        usage, is_answer = _usage(record, attempt), _is_last(attempt, record) and attempt.error is None
        seconds = (ended - call.began) / 1e9 if is_answer else attempt.seconds
        yield Measurement("gen_ai.client.operation.duration", seconds, attributes)
        if usage is not None:
            counted = {name: value for name, value in attributes.items() if name != "error.type"}
            for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                yield Measurement("gen_ai.client.token.usage", tokens, {**counted, "gen_ai.token.type": kind})
        if is_answer and "time_to_first_event_ms" in record.fields:
            first = {name: value for name, value in attributes.items() if name != "error.type"}
            yield Measurement("gen_ai.client.operation.time_to_first_chunk", attempt.seconds, first)
            # That of the whole service: with the calls that failed before, and with what was waited for.
            served = float(record.fields["time_to_first_event_ms"]) / 1000
            yield Measurement("gen_ai.server.time_to_first_token", served, first)


def _calls(trace: Trace, record: Record) -> Iterator[tuple[Call, Attempt, str]]:
    """Yield each call of a model with the code of the error that it ended with, empty without one."""
    for call, attempt in zip(trace.calls, record.attempts, strict=False):
        failure = attempt.error.code if attempt.error is not None else ""
        # After its first event, a call's failure is the request's. An answer that a policy has blocked is none.
        if not failure and _is_last(attempt, record) and "safety.blocked" not in record.fields:
            failure = str(record.fields.get("error.type", ""))
        yield call, attempt, failure


def _is_last(attempt: Attempt, record: Record) -> bool:
    return attempt is record.attempts[-1]


def _usage(record: Record, attempt: Attempt) -> Usage | None:
    if attempt.error is not None:
        return attempt.error.usage
    return record.usage if _is_last(attempt, record) else None


def _call_attributes(record: Record, attempt: Attempt, known: Mapping[str, Server], failure: str) -> Attributes:
    """Return what a call's span and its metrics have alike: values that settings know, and codes of errors."""
    target = attempt.target
    server = known.get(target.provider) or Server(target.provider)
    attributes: Attributes = {
        "gen_ai.operation.name": str(record.fields["gen_ai.operation.name"]),
        "gen_ai.provider.name": server.provider,
        "gen_ai.request.model": clipped(target.model, _MOST_TEXT),
        "target": target.name,
    }
    if server.address:
        attributes |= {"server.address": server.address, "server.port": server.port}
    if failure:
        attributes["error.type"] = failure
    return attributes


def _request_attributes(attempt: Attempt) -> Attributes:
    call = attempt.call
    if not isinstance(call, ModelCall):
        return {}
    sampling = call.sampling
    given: dict[str, Value | None] = {
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
    }
    if call.stream:
        given["gen_ai.request.stream"] = True
    if call.response_format is not None:
        given["gen_ai.output.type"] = "json"
    return {name: value for name, value in given.items() if value is not None}


def _answer(record: Record, attempt: Attempt) -> Attributes:
    attributes: Attributes = {}
    if attempt.error is None and _is_last(attempt, record) and "time_to_first_event_ms" in record.fields:
        attributes["gen_ai.response.model"] = clipped(attempt.target.model, _MOST_TEXT)
        if isinstance(attempt.call, ModelCall) and attempt.call.stream:
            attributes["gen_ai.response.time_to_first_chunk"] = attempt.seconds
        if (reasons := record.fields.get("gen_ai.response.finish_reasons")) is not None:
            attributes["gen_ai.response.finish_reasons"] = reasons
    if (usage := _usage(record, attempt)) is not None:
        attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
        attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
        counted = {
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
        attributes |= {name: tokens for name, tokens in counted.items() if tokens}
    return attributes
