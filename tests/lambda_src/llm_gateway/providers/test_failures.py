"""Whatever a provider does, its caller gets the right answer of another one or one typed error, never silence.

Every failure that `failures.FAILURES` knows, at each of the five providers, over each of the four transports: alone, with
another provider behind it, and with retries. Then what an upstream asks for in its headers, and how the gateway keeps the
providers' keys.
"""

import asyncio
import contextlib
import datetime
import itertools
import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lambda_src.llm_gateway.http.test_client import Authority
from llm_gateway import telemetry
from wire.bedrock import Wire
from wire.failures import (
    ANTHROPIC,
    FAILURES,
    KEY,
    NEXT,
    OPENAI,
    TEXT,
    TRANSPORTS,
    VLLM,
    VOICES,
    Case,
    Clock,
    Outcome,
    Play,
    Transport,
    Upstream,
    Voice,
    World,
    anthropic_error,
    bedrock_error,
    openai_error,
    secret,
)

pytestmark = pytest.mark.timeout(20)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate that nobody knows, and a client's that trusts what the system trusts."""
    return Authority(tmp_path_factory.mktemp("tls")).server, ssl.create_default_context()


@pytest.fixture
async def clock() -> Any:
    with Clock(asyncio.get_running_loop()).installed() as clock:
        yield clock


@pytest.fixture
def world(clock: Clock, opened: contextlib.AsyncExitStack, tls: Any) -> World:
    return World(opened, *tls)


@pytest.fixture
def records(monkeypatch) -> list[dict[str, Any]]:
    """The lines of telemetry."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    return lines


def cases() -> Iterator[Any]:
    for (transport, way), voice, (failure, case) in itertools.product(TRANSPORTS.items(), VOICES, FAILURES.items()):
        yield pytest.param(way, voice, case(voice, way.stream), id=f"{voice.name}-{failure}-{transport}")


EVERY = pytest.mark.parametrize(("transport", "voice", "case"), list(cases()))


def assert_failed(outcome: Outcome, case: Case) -> None:
    """The one error of this case: by its own status while nothing has been sent, as an event after that."""
    kind = case.kind
    assert outcome.error is not None and outcome.text == case.text
    assert (outcome.error["type"], outcome.error["code"]) == (kind.type, kind.code)
    if case.text or outcome.comments:
        assert outcome.status == 200
    else:
        assert outcome.status == kind.status
        assert outcome.headers.get("retry-after") == (None if kind.retry_after is None else str(kind.retry_after))
    assert "detail" not in outcome.error


@EVERY
async def test_the_only_target_fails(world, records, transport: Transport, voice: Voice, case: Case) -> None:
    url, upstream = await world.failing(voice, case)
    service = await world.gateway((voice, url))
    outcome = await transport.call(service)
    assert_failed(outcome, case)
    (record,) = records
    assert record["error.type"] == case.kind.code
    if upstream is None or case.play is None:
        return
    assert upstream.calls == 1
    if case.play.then == "serves":  # its answer was read to the end: the connection serves on
        assert_failed(await transport.call(service), case)
        assert (upstream.calls, upstream.connections) == (2, 1)
    else:
        await upstream.all_left.wait()


@EVERY
async def test_another_target_follows(world, records, transport: Transport, voice: Voice, case: Case) -> None:
    url, upstream = await world.failing(voice, case)
    second = await world.healthy(NEXT[voice.name])
    service = await world.gateway((voice, url), (second.voice, second.url))
    outcome = await transport.call(service)
    (record,) = records
    if case.text or not case.kind.other:
        assert_failed(outcome, case)
        assert second.calls == 0
    else:
        assert (outcome.status, outcome.text, outcome.error, outcome.comments) == (200, TEXT, None, 0)
        assert outcome.target == second.voice.target.name
        assert outcome.start is None or (outcome.start["target"], outcome.start["attempts"]) == (outcome.target, 2)
        assert record["failed_attempts"] == [f"{voice.target.name}: {case.kind.code}"]
        assert second.calls == 1 and second.voice.key_header in second.heads[0]
    if upstream is not None and case.play is not None:
        assert upstream.calls == 1
        if case.play.then != "serves":
            await upstream.all_left.wait()


@EVERY
async def test_it_is_asked_again(world, records, clock, transport: Transport, voice: Voice, case: Case) -> None:
    url, upstream = await world.failing(voice, case)
    service = await world.gateway((voice, url), retries=2)
    began = clock.now()
    outcome = await transport.call(service)
    assert_failed(outcome, case)
    (record,) = records
    assert len(record.get("failed_attempts", [])) == (0 if case.text else case.calls)
    if upstream is not None and case.play is not None:
        assert upstream.calls == case.calls
        assert upstream.connections == (1 if case.play.then == "serves" else case.calls)
        if case.play.then != "serves":
            await upstream.all_left.wait()
    if case.calls > 1:  # no sooner than it has asked for
        assert clock.now() - began > 2 * (case.kind.retry_after or 0)


# What works.


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
async def test_what_succeeds_keeps_its_connection(world, transport: Transport, voice: Voice) -> None:
    upstream = await world.healthy(voice)
    service = await world.gateway((voice, upstream.url))
    for _ in range(3):
        outcome = await transport.call(service)
        assert (outcome.text, outcome.error, outcome.target) == (TEXT, None, voice.target.name)
    assert (upstream.calls, upstream.connections) == (3, 1)
    assert all(voice.key_header in head for head in upstream.heads)
    assert world.secrets.calls == (1 if voice.endpoint is not None and voice.endpoint.secret_arn else 0)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
async def test_a_body_that_ends_after_its_answer_keeps_its_connection(world, voice: Voice) -> None:
    body = voice.answer(stream=True).data
    play = Play(body.removesuffix(Wire.STREAM_END), late=Wire.STREAM_END)
    upstream = await world.upstream(voice, lambda stream: play)
    service = await world.gateway((voice, upstream.url))
    for _ in range(3):
        assert (await TRANSPORTS["chat stream"].call(service)).text == TEXT
        await asyncio.sleep(0.6)  # until that end has come; nobody waits for it
    assert (upstream.calls, upstream.connections) == (3, 1)


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
async def test_the_caller_hears_at_the_default_limit_who_answers(world, clock, voice: Voice) -> None:
    """A comment has opened the stream by then, so that its head cannot tell; the start event does."""
    _, slow = await world.failing(voice, FAILURES["no head"](voice, True))
    second = await world.healthy(NEXT[voice.name])
    service = await world.gateway((voice, slow.url), (second.voice, second.url), first_token_seconds=30.0)
    began = clock.now()
    outcome = await TRANSPORTS["chat stream"].call(service)
    assert (outcome.text, outcome.error, outcome.target) == (TEXT, None, None)
    assert outcome.comments in (2, 3) and outcome.start is not None
    assert (outcome.start["target"], outcome.start["attempts"]) == (second.voice.target.name, 2)
    assert clock.now() - began == pytest.approx(30)
    await slow.all_left.wait()


# Where every target fails.

# the failures of the first target and of the next -> what the caller is told: status, type, Retry-After
ALL_FAIL: dict[tuple[str, str], tuple[int, str, bool]] = {
    ("throttled", "throttled"): (429, "rate_limit_error", True),
    ("throttled", "unavailable"): (503, "upstream_error", True),
    ("connection refused", "TLS fails"): (503, "upstream_error", True),
    ("5xx", "key refused"): (502, "upstream_error", False),
    ("5xx", "throttled"): (503, "upstream_error", True),
    ("no head", "timed out there"): (504, "upstream_error", False),
    ("context too long", "content refused"): (400, "invalid_request_error", False),
    ("context too long", "5xx"): (502, "upstream_error", False),
    ("cut before the first token", "malformed first event"): (502, "upstream_error", False),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
@pytest.mark.parametrize(("failures", "expected"), ALL_FAIL.items(), ids=[" and ".join(pair) for pair in ALL_FAIL])
async def test_all_targets_fail(world, failures: Any, expected: Any, transport: Transport, debug: bool) -> None:
    for voice in VOICES:
        voices = voice, NEXT[voice.name]
        both = [FAILURES[name](each, transport.stream) for name, each in zip(failures, voices, strict=True)]
        behind = [(each, (await world.failing(each, case))[0]) for each, case in zip(voices, both, strict=True)]
        outcome = await transport.call(await world.gateway(*behind, debug=debug))
        reasons = [f"{each.target.name}: {case.kind.code}" for each, case in zip(voices, both, strict=True)]
        status, kind, retry = expected
        times = [case.kind.retry_after for case in both if case.kind.retry_after is not None]
        assert (outcome.status, outcome.headers.get("retry-after")) == (status, str(min(times)) if retry else None)
        assert outcome.error is not None and (outcome.error["type"], outcome.error["code"]) == (kind, "all_targets_failed")
        assert outcome.error["message"] == f"no target of 'main' could answer: {'; '.join(reasons)}"
        assert ("detail" in outcome.error) == debug
        if debug:
            first, second = outcome.error["detail"].split(f"; {voices[1].target.name}: ")
            assert first.startswith(f"{voices[0].target.name}: ") and len(first) > len(voices[0].target.name) + 5 and second


# Other words for the same.

WORDS: dict[str, tuple[Voice, bytes, int, str]] = {
    "a model that is not found, as a 400": (
        OPENAI,
        openai_error(400, "The requested model 'gpt-6' does not exist.", "invalid_request_error", "model_not_found"),
        502,
        "upstream_misconfigured",
    ),
    "a filter of Azure's": (
        OPENAI,
        openai_error(400, "The response was filtered", "", "content_filter"),
        400,
        "content_filter",
    ),
    "an error of vLLM before 0.11": (
        VLLM,
        Wire.response(
            400, {"object": "error", "message": "maximum context length is 8192", "type": "BadRequestError", "code": 400}
        ),
        400,
        "context_length_exceeded",
    ),
    "a body that is too large": (
        ANTHROPIC,
        anthropic_error(413, "request_too_large", "Request exceeds the maximum size"),
        400,
        "context_length_exceeded",
    ),
    "a filter of Anthropic's": (
        ANTHROPIC,
        anthropic_error(400, "invalid_request_error", "Output blocked by content filtering policy"),
        400,
        "content_filter",
    ),
    "a country that is not served": (
        OPENAI,
        openai_error(403, "Request not allowed", "forbidden", "unsupported_country_region_territory"),
        502,
        "upstream_misconfigured",
    ),
}


@pytest.mark.assumes("provider-words")
@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
@pytest.mark.parametrize(("voice", "answer", "status", "code"), WORDS.values(), ids=WORDS)
async def test_other_words(world, voice: Voice, answer: bytes, status: int, code: str, transport: Transport) -> None:
    upstream = await world.upstream(voice, lambda stream: Play(answer))
    outcome = await transport.call(await world.gateway((voice, upstream.url)))
    assert outcome.error is not None and (outcome.status, outcome.error["code"]) == (status, code)


# When an upstream wants to be asked again.

_DAY = 86_400


def _date(seconds: float) -> str:
    return f"{datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"


# the upstream's headers -> ours: a number, or the two that it lies between
RETRY_AFTER: dict[str, tuple[Callable[[], dict[str, str]], int | tuple[int, int]]] = {
    "none": (lambda: {}, 1),
    "seconds": (lambda: {"retry_after": "37"}, 37),
    "with spaces around it": (lambda: {"retry_after": "  37 "}, 37),
    "a fraction is never rounded down": (lambda: {"retry_after": "1.2"}, 2),
    "less than a second": (lambda: {"retry_after": "0.2"}, 1),
    "now": (lambda: {"retry_after": "0"}, 1),
    "milliseconds": (lambda: {"retry_after_ms": "12000"}, 12),
    "milliseconds, no whole second": (lambda: {"retry_after_ms": "12001"}, 13),
    "milliseconds count before seconds": (lambda: {"retry_after": "60", "retry_after_ms": "1500"}, 2),
    "milliseconds that are none": (lambda: {"retry_after": "60", "retry_after_ms": "soon"}, 60),
    "milliseconds that are no number": (lambda: {"retry_after": "60", "retry_after_ms": "nan"}, 60),
    "a date": (lambda: {"retry_after": _date(3600)}, (3595, 3600)),
    "a date in the past": (lambda: {"retry_after": _date(-3600)}, 1),
    "a date far away": (lambda: {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, _DAY),
    "a date that is none": (lambda: {"retry_after": "Wed, 99 Oct 2025 07:28:00 GMT"}, 1),
    "a year that is none": (lambda: {"retry_after": f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT"}, 1),
    "a zone that is none": (lambda: {"retry_after": f"Wed, 21 Oct 2025 07:28:00 +{'9' * 30}"}, 1),
    "a date before all dates": (lambda: {"retry_after": "Mon, 01 Jan 0001 00:00:00 -0000"}, 1),
    "a date without a zone": (lambda: {"retry_after": "Fri, 31 Dec 9999 23:59:59"}, _DAY),
    "negative": (lambda: {"retry_after": "-5"}, 1),
    "no number": (lambda: {"retry_after": "nan"}, 1),
    "infinite": (lambda: {"retry_after": "1e999"}, _DAY),
    "infinite, in words": (lambda: {"retry_after": "inf"}, 1),
    "huge": (lambda: {"retry_after": "9" * 400}, _DAY),
    "words": (lambda: {"retry_after": "in a minute"}, 1),
    "other signs": (lambda: {"retry_after": "²"}, 1),
    "two values": (lambda: {"retry_after": "5, 10"}, 1),
    "empty": (lambda: {"retry_after": ""}, 1),
    "resets are not asked for": (
        lambda: {
            "x_ratelimit_reset_requests": "120ms",
            "x_ratelimit_reset_tokens": "6m0s",
            "anthropic_ratelimit_requests_reset": "2999-01-01T00:00:00Z",
            "anthropic_ratelimit_tokens_reset": "2999-01-01T00:00:00Z",
            "ratelimit_reset": "50",
        },
        1,
    ),
    "beside resets": (lambda: {"retry_after": "9", "anthropic_ratelimit_requests_reset": "2999-01-01T00:00:00Z"}, 9),
}
THROTTLES: dict[str, Callable[..., bytes]] = {
    "openai": lambda **headers: openai_error(429, "Rate limit reached", "requests", "rate_limit_exceeded", **headers),
    "vllm": lambda **headers: openai_error(503, "the model is overloaded", "ServiceUnavailableError", 503, **headers),
    "anthropic": lambda **headers: anthropic_error(429, "rate_limit_error", "Rate limited", **headers),
    "converse": lambda **headers: bedrock_error("ThrottlingException", 429, "Slow down", **headers),
    "invoke": lambda **headers: bedrock_error("ServiceUnavailableException", 503, "Slow down", **headers),
}


@pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.name)
@pytest.mark.parametrize(("headers", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
async def test_retry_after(world, voice: Voice, headers: Any, expected: Any) -> None:
    answer = THROTTLES[voice.name](**headers())
    upstream = await world.upstream(voice, lambda stream: Play(answer))
    outcome = await TRANSPORTS["chat"].call(await world.gateway((voice, upstream.url)))
    assert outcome.error is not None and outcome.error["code"] in ("upstream_throttled", "upstream_unavailable")
    first, last = expected if isinstance(expected, tuple) else (expected, expected)
    assert first <= int(outcome.headers["retry-after"]) <= last


# The providers' keys.

KEYED = pytest.mark.parametrize("voice", [OPENAI, ANTHROPIC], ids=lambda voice: voice.name)
CHAT = TRANSPORTS["chat"]


def accepting(voice: Voice, key: str) -> Callable[[Upstream], Callable[[bool], Play]]:
    """An upstream that takes one key and refuses all others, whose words repeat the key that it was sent."""

    def plays(upstream: Upstream) -> Callable[[bool], Play]:
        def play(stream: bool) -> Play:
            head = upstream.heads[-1]
            if key in head:
                return voice.answer(stream)
            message = f"Incorrect API key provided: {head.partition(voice.key_header.split(KEY)[0])[2].splitlines()[0]}"
            if voice is ANTHROPIC:
                return Play(anthropic_error(401, "authentication_error", message))
            return Play(openai_error(401, message, "invalid_request_error", "invalid_api_key"))

        return play

    return plays


async def guarded(world: World, voice: Voice, key: str = KEY) -> Upstream:
    upstream = await world.upstream(voice)
    upstream.plays = [accepting(voice, key)(upstream)]
    return upstream


@KEYED
async def test_a_key_is_read_once_for_many_calls(world, voice: Voice) -> None:
    upstream = await guarded(world, voice)
    service = await world.gateway((voice, upstream.url))
    outcomes = await asyncio.gather(*(way.call(service) for way in [*TRANSPORTS.values()] * 5))
    assert [outcome.text for outcome in outcomes] == [TEXT] * 20
    assert world.secrets.calls == 1
    assert world.secrets.bodies == [{"SecretId": voice.endpoint.secret_arn}]  # type: ignore[union-attr]
    assert "\r\nx-amz-target: secretsmanager.GetSecretValue\r\n" in world.secrets.heads[0]
    assert "/us-east-1/secretsmanager/aws4_request" in world.secrets.heads[0]


@KEYED
@pytest.mark.parametrize("many", [1, 8])
async def test_a_replaced_key_is_noticed_when_the_old_one_is_refused(world, voice: Voice, many: int) -> None:
    new = KEY[::-1]
    upstream = await guarded(world, voice)
    service = await world.gateway((voice, upstream.url), secrets=[lambda _: secret(KEY), lambda _: secret(new)])
    assert (await CHAT.call(service)).text == TEXT
    upstream.plays = [accepting(voice, new)(upstream)]
    outcomes = await asyncio.gather(*(CHAT.call(service) for _ in range(many)))
    refused = [outcome for outcome in outcomes if outcome.error is not None]
    assert refused and {(outcome.status, outcome.error["code"]) for outcome in refused} == {(502, "upstream_misconfigured")}  # type: ignore[index]
    assert (await CHAT.call(service)).text == TEXT
    assert world.secrets.calls == 2


# the secret -> the key that is sent
FORMS = {
    "text": KEY,
    "text with a line end": f"{KEY}\n",
    "JSON": json.dumps({"api_key": KEY}),
    "JSON with spaces around it": f'\n {{ "api_key" : "{KEY}" }} \n',
    "JSON with a line end in it": json.dumps({"api_key": f"{KEY}\n"}),
    "JSON with more": json.dumps({"api_key": KEY, "organization": "org-1", "list": [1]}),
}


@KEYED
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_the_forms_of_a_secret(world, voice: Voice, form: str) -> None:
    upstream = await guarded(world, voice)
    outcome = await CHAT.call(await world.gateway((voice, upstream.url), secrets=[lambda _: secret(form)]))
    assert outcome.text == TEXT and voice.key_header in upstream.heads[0]


def refusal(name: str, status: int = 400, message: str = "It cannot be had.", namespace: str = "") -> Play:
    return Play(http_response(status, {"__type": namespace + name, "Message": message}))


def http_response(status: int, body: Any) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/x-amz-json-1.1"
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


# what Secrets Manager answers -> our status and code
NO_KEY: dict[str, tuple[Play, int, str]] = {
    "access denied": (refusal("AccessDeniedException"), 502, "upstream_misconfigured"),
    "not found": (
        refusal("ResourceNotFoundException", message="Secrets Manager can't find it."),
        502,
        "upstream_misconfigured",
    ),
    "marked for deletion": (refusal("InvalidRequestException"), 502, "upstream_misconfigured"),
    "not decrypted": (refusal("DecryptionFailure", namespace="com.amazonaws#"), 502, "upstream_misconfigured"),
    "an expired token": (refusal("ExpiredTokenException"), 502, "upstream_misconfigured"),
    "binary": (secret({"SecretBinary": "c2stdGhl"}), 502, "upstream_misconfigured"),
    "null": (secret({"SecretString": None}), 502, "upstream_misconfigured"),
    "empty": (secret(""), 502, "upstream_misconfigured"),
    "blank": (secret(" \n"), 502, "upstream_misconfigured"),
    "JSON without api_key": (secret(json.dumps({"key": KEY})), 502, "upstream_misconfigured"),
    "an empty api_key": (secret('{"api_key": ""}'), 502, "upstream_misconfigured"),
    "a blank api_key": (secret('{"api_key": " "}'), 502, "upstream_misconfigured"),
    "an api_key that is null": (secret('{"api_key": null}'), 502, "upstream_misconfigured"),
    "an api_key that is a list": (secret(json.dumps({"api_key": [KEY]})), 502, "upstream_misconfigured"),
    "half of a JSON": (secret(f'{{"api_key": "{KEY}'), 502, "upstream_misconfigured"),
    "two lines": (secret(f"{KEY}\nx-header: {KEY}"), 502, "upstream_misconfigured"),
    "not ASCII": (secret(f"{KEY}ß"), 502, "upstream_misconfigured"),
    "no JSON object": (Play(http_response(200, [KEY])), 502, "upstream_misconfigured"),
    "throttled": (refusal("ThrottlingException"), 503, "upstream_unavailable"),
    "their error": (refusal("InternalServiceError", 500), 503, "upstream_unavailable"),
    "an error page": (Play(http_response(503, b"<html>Service Unavailable</html>")), 503, "upstream_unavailable"),
    "an empty error": (Play(http_response(500, b"")), 503, "upstream_unavailable"),
    "cut": (Play(secret().data[:-9], "closes"), 503, "upstream_unavailable"),
    "silent": (Play(b"", "waits"), 503, "upstream_unavailable"),
}


@KEYED
@pytest.mark.parametrize(("answer", "status", "code"), NO_KEY.values(), ids=NO_KEY)
async def test_a_key_that_cannot_be_had(world, voice: Voice, answer: Play, status: int, code: str, capsysbinary) -> None:
    upstream = await guarded(world, voice)
    secrets = [lambda _: answer, lambda _: secret()]
    service = await world.gateway((voice, upstream.url), debug=True, secrets=secrets)
    outcome = await CHAT.call(service)
    assert outcome.error is not None and (outcome.status, outcome.error["code"]) == (status, code)
    assert outcome.error["detail"] and upstream.calls == 0
    assert (await CHAT.call(service)).text == TEXT  # once the operator has mended it
    second = await world.healthy(NEXT[voice.name])
    behind = (voice, upstream.url), (second.voice, second.url)
    outcome = await CHAT.call(await world.gateway(*behind, debug=True, secrets=[*secrets]))
    assert (outcome.text, outcome.target) == (TEXT, second.voice.target.name)
    assert KEY not in outcome.raw and KEY.encode() not in capsysbinary.readouterr().out


@KEYED
@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_no_answer_and_no_line_of_the_log_tells_the_key(
    world, voice: Voice, transport: Transport, capfdbinary, caplog
) -> None:
    """Not even where the provider repeats it."""
    upstream = await guarded(world, voice, key="another")
    repeats = "the header was: " + voice.key_header
    words = [
        anthropic_error(400, "invalid_request_error", repeats) if voice is ANTHROPIC else openai_error(400, repeats, "x"),
        http_response(500, repeats.encode()),
        b"HTTP/1.1 " + repeats.encode(),
    ]
    plays = upstream.plays + [lambda _, answer=answer: Play(answer, "closes") for answer in words]
    raw = ""
    for play in plays:
        upstream.plays = [play]
        service = await world.gateway((voice, upstream.url), debug=True)
        for outcome in await asyncio.gather(*(transport.call(service) for _ in range(3))):
            assert outcome.error is not None
            raw += outcome.raw + str(outcome.headers)
    assert upstream.calls == 3 * len(plays)
    printed = capfdbinary.readouterr()
    assert printed.out
    for text in (raw, printed.out.decode(), printed.err.decode(), caplog.text):
        assert KEY not in text
