"""Whatever a provider does, its caller gets the right answer of another one or one typed error, never silence.

`wire.failures` has the table and says which dimension is covered where.
"""

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

from llm_gateway.errors import ERROR_KINDS
from wire.callers import CHAT, CHAT_STREAM, TRANSPORTS, Outcome, Transport
from wire.failures import AFTER_FIRST_TOKEN, BY_CODE, Failure, every_failure, failure_of
from wire.harness import Harness, ProviderAt
from wire.http import Fake, Peer
from wire.provider_responses import CONVERSE, FOLLOWER, OPENAI, TEXT, ProviderResponses

EVERY_FAILURE = every_failure()
EVERY_TRANSPORT = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)


def assert_failed(outcome: Outcome, failure: Failure) -> None:
    """The one error of this failure: with its own status while nothing has been sent, as an event after that."""
    expected = failure.error
    assert outcome.error is not None and outcome.text == failure.text
    assert (outcome.error["type"], outcome.error["code"]) == (expected.type, expected.code)
    if failure.text or outcome.comments:
        assert outcome.status == 200
    else:
        assert outcome.status == expected.status
        assert outcome.headers.get("retry-after") == (None if expected.retry_after is None else str(expected.retry_after))
    assert "detail" not in outcome.error


async def assert_released(failing: ProviderAt, failure: Failure, calls: int = 1) -> None:
    """The upstream was called so often, on one connection where its responses were complete; all others are closed."""
    if failing.upstream is None or failure.reply is None:
        return
    keeps = failure.reply.then == "keeps"
    assert (failing.upstream.calls, failing.upstream.connections) == (calls, 1 if keeps else calls)
    if not keeps:
        await failing.upstream.all_closed.wait()


# Each failure of each provider.


@pytest.mark.parametrize(("provider", "stream", "failure"), EVERY_FAILURE.values(), ids=EVERY_FAILURE)
async def test_each_failure_is_one_error(
    harness: Harness, records, provider: ProviderResponses, stream: bool, failure: Failure
) -> None:
    failing = await harness.failing(provider, failure)
    service = await harness.gateway(failing)
    transport = CHAT_STREAM if stream else CHAT
    assert_failed(await transport.call(service), failure)
    (record,) = records
    assert record["error.type"] == failure.error.code
    await assert_released(failing, failure)
    if failure.reply is not None and failure.reply.then == "keeps":  # its answer was read to the end: the connection serves on
        assert_failed(await transport.call(service), failure)
        await assert_released(failing, failure, calls=2)


@pytest.mark.parametrize("provider", [CONVERSE, OPENAI], ids=lambda provider: provider.name)
async def test_an_answer_that_never_ends_is_closed_at_the_deadline(harness: Harness, clock, opened, provider: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(provider.up_to_first_token())
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(1)
                await peer.send(provider.delta("."))
        upstream.left.set()

    upstream = Fake(script)
    await upstream.start()
    opened.push_async_callback(upstream.stop)
    service = await harness.gateway(ProviderAt(provider, upstream.url))
    began = clock.now()
    outcome = await CHAT_STREAM.call(service, seconds=20)
    assert (outcome.code, outcome.text.rstrip(".")) == ("upstream_timeout", "Hello")
    assert 15 < clock.now() - began < 20
    await upstream.left.wait()


@pytest.mark.parametrize("provider", [CONVERSE, OPENAI], ids=lambda provider: provider.name)
async def test_a_stream_that_stands_still_is_ended_at_its_own_limit(harness: Harness, clock, provider: Any) -> None:
    failing = await harness.failing(provider, failure_of("stands still", provider, stream=True))
    service = await harness.gateway(failing, stall_seconds=7.0, first_token_seconds=3.0)
    began = clock.now()
    assert (await CHAT_STREAM.call(service)).code == "upstream_timeout"
    assert clock.now() - began == pytest.approx(7.0, abs=0.1)


# Each error code: the response of each transport, the next target, the retries.


def test_every_code_of_an_upstream_has_an_example() -> None:
    followed = {kind.code for kind in ERROR_KINDS if kind.policy.next_target}
    followed.remove("invalid_output")  # no upstream says it: it is what the check of an answer by its schema finds
    assert set(BY_CODE) == {*followed, "upstream_rejected"}
    assert all(failure_of(name, provider, stream=True).error.code == code for code, (provider, name) in BY_CODE.items())


@EVERY_TRANSPORT
@pytest.mark.parametrize("code", BY_CODE)
async def test_each_transport_tells_each_error(harness: Harness, code: str, transport: Transport) -> None:
    provider, name = BY_CODE[code]
    failure = failure_of(name, provider, stream=transport.stream)
    outcome = await transport.call(await harness.gateway(await harness.failing(provider, failure)))
    assert_failed(outcome, failure)


# Once for each code: complete and streamed, in either format, in turn. stream_interrupted is a failure of streams.
IN_TURN = itertools.cycle(TRANSPORTS[name] for name in ("chat stream", "chat", "openai stream", "openai"))
ONCE = [(code, next(IN_TURN)) for code in BY_CODE]
EVERY_CODE = pytest.mark.parametrize(("code", "transport"), ONCE, ids=BY_CODE)


@EVERY_CODE
async def test_the_next_target_answers(harness: Harness, records, code: str, transport: Transport) -> None:
    provider, name = BY_CODE[code]
    failure = failure_of(name, provider, stream=transport.stream)
    failing, second = await harness.failing(provider, failure), await harness.healthy(FOLLOWER[provider.name])
    outcome = await transport.call(await harness.gateway(failing, second))
    (record,) = records
    assert second.upstream is not None
    if failure.error.next_target:
        assert (outcome.status, outcome.text, outcome.error, outcome.comments) == (200, TEXT, None, 0)
        assert outcome.target == second.target
        assert outcome.start is None or (outcome.start["target"], outcome.start["attempts"]) == (outcome.target, 2)
        assert record["failed_attempts"] == [f"{failing.target}: {failure.error.code}"]
        assert second.upstream.calls == 1 and second.provider.key_header in second.upstream.heads[0]
    else:
        assert_failed(outcome, failure)
        assert second.upstream.calls == 0
    await assert_released(failing, failure)


@EVERY_CODE
async def test_the_only_target_is_asked_again(harness: Harness, records, clock, code: str, transport: Transport) -> None:
    provider, name = BY_CODE[code]
    failure = failure_of(name, provider, stream=transport.stream)
    failing = await harness.failing(provider, failure)
    service = await harness.gateway(failing, retries=2)
    began = clock.now()
    assert_failed(await transport.call(service), failure)
    calls = 3 if failure.error.retried else 1
    (record,) = records
    assert len(record["failed_attempts"]) == calls
    await assert_released(failing, failure, calls)
    if calls > 1:  # no sooner than it has asked for
        assert clock.now() - began > 2 * (failure.error.retry_after or 0)


@pytest.mark.parametrize("transport", [TRANSPORTS["chat stream"], TRANSPORTS["openai stream"]], ids=["chat", "openai"])
@pytest.mark.parametrize("code", AFTER_FIRST_TOKEN)
async def test_after_the_first_token_nobody_else_is_asked(harness: Harness, records, code: str, transport: Transport) -> None:
    provider, name = AFTER_FIRST_TOKEN[code]
    failure = failure_of(name, provider, stream=True)
    failing, second = await harness.failing(provider, failure), await harness.healthy(FOLLOWER[provider.name])
    outcome = await transport.call(await harness.gateway(failing, second, retries=2))
    assert outcome.code == code
    assert_failed(outcome, failure)
    (record,) = records
    assert second.upstream is not None and second.upstream.calls == 0 and "failed_attempts" not in record
    await assert_released(failing, failure)


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@EVERY_TRANSPORT
async def test_all_targets_fail(harness: Harness, transport: Transport, debug: bool) -> None:
    provider, follower = OPENAI, FOLLOWER[OPENAI.name]
    failures = [failure_of("5xx", provider, stream=False), failure_of("throttled", follower, stream=False)]
    behind = [await harness.failing(each, failure) for each, failure in zip((provider, follower), failures, strict=True)]
    outcome = await transport.call(await harness.gateway(*behind, debug=debug))
    assert (outcome.status, outcome.headers.get("retry-after")) == (503, str(failures[1].error.retry_after))
    error = outcome.error
    assert error is not None and (error["type"], error["code"]) == ("upstream_error", "all_targets_failed")
    first, second = behind
    assert error["message"] == (
        f"no target of 'main' could answer: {first.target}: upstream_failed; {second.target}: upstream_throttled"
    )
    assert ("detail" in error) == debug
    if debug:
        mine, other = error["detail"].split(f"; {second.target}: ")
        assert mine.startswith(f"{first.target}: ") and len(mine) > len(first.target) + 5 and other


async def test_the_caller_is_told_at_the_default_limit_who_answers(harness: Harness, clock) -> None:
    """A comment has opened the stream by then, so that its head cannot tell; the start event does."""
    slow = await harness.failing(OPENAI, failure_of("no head", OPENAI, stream=True))
    second = await harness.healthy(FOLLOWER[OPENAI.name])
    service = await harness.gateway(slow, second, first_token_seconds=30.0)
    began = clock.now()
    outcome = await CHAT_STREAM.call(service)
    assert (outcome.text, outcome.error, outcome.target) == (TEXT, None, None)
    assert outcome.comments in (2, 3) and outcome.start is not None
    assert (outcome.start["target"], outcome.start["attempts"]) == (second.target, 2)
    assert clock.now() - began == pytest.approx(30)
    assert slow.upstream is not None
    await slow.upstream.all_closed.wait()
