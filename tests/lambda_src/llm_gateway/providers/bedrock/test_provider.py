"""Bedrock as a provider: the paths that are called, and the local Bedrock's faults under concurrent calls."""

import asyncio
from typing import Any

import pytest

from llm_functions.http import application
from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.fault import Fault
from wire.callers import CHAT, CHAT_STREAM

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["complete", "streamed"])


@BOTH
async def test_the_models_id_is_one_segment_of_the_path(gateway, fake, wire, stream: bool) -> None:
    upstream = await fake(wire.plays(b""))
    service = await gateway(upstream.url)
    await service.post((CHAT_STREAM if stream else CHAT).path, {**CHAT.body, "model": "arn"})
    operation = "converse-stream" if stream else "converse"
    assert upstream.paths == [
        f"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aprovisioned-model%2Fabcdef123456/{operation}"
    ]
    head = upstream.heads[0].lower()
    assert "content-type: application/json\r\n" in head
    assert "/us-east-1/bedrock/aws4_request" in head and "test-secret" not in head


# The local Bedrock's faults, under concurrent calls.

REQUESTS = 10
# the fault -> its rate, and what a struck call ends with (complete, streamed); None: it does not fail
FAULTS: dict[str, tuple[float, str | None, str | None]] = {
    "throttle": (0.3, "upstream_throttled", "upstream_throttled"),
    "not-ready": (0.3, "model_not_ready", "model_not_ready"),
    "500": (0.5, "upstream_failed", "upstream_failed"),
    "503": (0.3, "upstream_unavailable", "upstream_unavailable"),
    "cut-stream": (0.5, "upstream_failed", "stream_interrupted"),
    "stream-error": (0.5, "upstream_failed", "stream_interrupted"),
    "slow": (0.5, None, None),
}


@BOTH
@pytest.mark.parametrize(("kind", "expected"), FAULTS.items(), ids=FAULTS)
async def test_under_a_fault_each_call_ends_complete_or_in_one_error(
    gateway, bedrock, monkeypatch, kind: Any, expected: Any, stream: bool
) -> None:
    rate, *codes = expected
    for delay in ("SLOW_FIRST_PIECE_S", "SLOW_PIECE_S"):
        monkeypatch.setattr(fault, delay, 0.001)
    sane = await gateway((await bedrock()).url)
    answer = (await CHAT.call(sane)).text
    service = await gateway((await bedrock(None, Fault(kind, rate))).url)
    transport = CHAT_STREAM if stream else CHAT
    outcomes = await asyncio.gather(*(transport.call(service) for _ in range(REQUESTS)))
    code = codes[1 if stream else 0]
    assert sum(bool(outcome.error) for outcome in outcomes) == (0 if code is None else round(rate * REQUESTS))
    for outcome in outcomes:
        if outcome.error:
            assert outcome.code == code and answer.startswith(outcome.text) and outcome.text != answer
        else:
            assert outcome.text == answer


@BOTH
async def test_a_stalled_bedrock_is_left(gateway, bedrock, stream: bool) -> None:
    service = await gateway((await bedrock(None, Fault("stall"))).url)
    outcome = await (CHAT_STREAM if stream else CHAT).call(service, seconds=application.DEADLINE_MARGIN_SECONDS + 0.1)
    assert outcome.code == "upstream_timeout" and bool(outcome.text) == stream


async def test_faults_reach_openai_callers_as_the_sdks_errors(gateway, bedrock) -> None:
    import openai

    service = await gateway((await bedrock(None, Fault("stream-error"))).url)
    stream = await service.openai().chat.completions.create(
        model="full", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    pieces = 0
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pieces += 1
    assert pieces
