"""What goes wrong on purpose in the local Bedrock."""

import asyncio
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as UnwrappedReadTimeoutError

from pulumi_llm_local.upstreams import fault
from pulumi_llm_local.upstreams.fault import Fault, FaultSchedule, parse_fault
from support.local_bedrock import HELLO, client, converse, deltas, names, running, stream


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "ThrottlingException"),
        ("not-ready", 429, "ModelNotReadyException"),
        ("500", 500, "InternalServerException"),
        ("503", 503, "ServiceUnavailableException"),
        ("bad-key", 403, "UnrecognizedClientException"),
        ("context", 400, "ValidationException"),
    ],
)
async def test_a_refusing_fault_hits_its_share_of_the_requests(kind: str, status: int, code: str) -> None:
    async def outcome() -> tuple[int, str]:
        try:
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        return 200, ""

    async with running(None, parse_fault(f"bedrock={kind}:0.3"), parse_fault("deepseek=500")) as url:
        boto = client(url)
        outcomes = [await outcome() for _ in range(10)]
    assert [i for i, seen in enumerate(outcomes) if seen == (status, code)] == [3, 6, 9]
    assert sum(seen == (200, "") for seen in outcomes) == 7


async def test_two_faults_keep_their_rates() -> None:
    schedule = FaultSchedule([Fault("throttle", 0.5), Fault("500", 0.5)], "bedrock")
    kinds = [schedule.next() for _ in range(100)]
    assert kinds.count("throttle") + kinds.count("500") >= 98
    assert abs(kinds.count("throttle") - kinds.count("500")) <= 1


async def test_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "SLOW_FIRST_PIECE_S", 0.2)
    monkeypatch.setattr(fault, "SLOW_PIECE_S", 0.01)
    async with running(None, Fault("slow")) as url:
        events = await stream(url, inferenceConfig={"maxTokens": 5})
    assert len(deltas(events)) == 5
    assert events[-1]["metadata"]["metrics"]["latencyMs"] >= 240


async def test_a_stalled_answer_keeps_its_connection_open() -> None:
    async with running(None, Fault("stall")) as url:
        boto = client(url, read_timeout=0.8)
        events = (await asyncio.to_thread(lambda: boto.converse_stream(modelId="test.all-v1:0", messages=HELLO)))["stream"]
        seen: list[dict[str, Any]] = []
        with pytest.raises(UnwrappedReadTimeoutError):
            await asyncio.to_thread(lambda: seen.extend(iter(events)))
        assert [name for name in names(seen) if name != "contentBlockDelta"] == ["messageStart"]
        with pytest.raises(ReadTimeoutError):
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))


async def test_a_stopping_server_does_not_wait_for_a_stalled_answer() -> None:
    async with asyncio.timeout(45):  # aiohttp itself would wait for a minute
        async with running(None, Fault("stall")) as url:
            boto = client(url)
            events = (await asyncio.to_thread(lambda: boto.converse_stream(modelId="test.all-v1:0", messages=HELLO)))["stream"]
        with pytest.raises(ProtocolError):
            await asyncio.to_thread(lambda: list(events))


@pytest.mark.parametrize("limit", [1, 50])
async def test_a_cut_answer_is_never_whole(limit: int) -> None:
    async with running(None, Fault("cut-stream")) as url:
        call = {"modelId": "test.all-v1:0", "messages": HELLO, "inferenceConfig": {"maxTokens": limit}}
        events = (await asyncio.to_thread(lambda: client(url).converse_stream(**call)))["stream"]
        seen: list[dict[str, Any]] = []
        with pytest.raises(ProtocolError):
            await asyncio.to_thread(lambda: seen.extend(iter(events)))
        assert "messageStop" not in names(seen)
        # botocore does not hold a body against its Content-Length: what it makes of half an answer is an empty one.
        whole = await asyncio.to_thread(lambda: client(url).converse(**call))
        assert "output" not in whole


async def test_a_stream_error() -> None:
    async with running(None, Fault("stream-error")) as url:
        with pytest.raises(EventStreamError) as mid_stream:
            await stream(url)
        with pytest.raises(ClientError) as whole:
            await converse(url)
    assert mid_stream.value.response["Error"]["Code"] == "modelStreamErrorException"
    assert whole.value.response["Error"]["Code"] == "ModelErrorException"
    assert whole.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424


async def test_refused_content_ends_the_answer() -> None:
    async with running(None, Fault("refuse")) as url:
        whole, events = await converse(url), await stream(url)
    assert whole["stopReason"] == events[-2]["messageStop"]["stopReason"] == "content_filtered"
    assert len(deltas(events)) == whole["usage"]["outputTokens"] == 3
    assert whole["usage"]["inputTokens"] == 6


async def test_malformed_answers() -> None:
    async with running(None, Fault("malformed")) as url:
        # botocore takes what is no JSON for an empty document.
        assert "output" not in await converse(url)
        events = await stream(url)
    assert [name for name in names(events) if name != "contentBlockDelta"] == ["messageStart"]
    assert events[-1] == {"contentBlockDelta": {}}


async def test_a_page_in_the_place_of_an_answer() -> None:
    async with running(None, Fault("html")) as url:
        assert "output" not in await converse(url)
        with pytest.raises(ChecksumMismatch):
            await stream(url)


WRONG = ["throttling", "throttle:1.5", "throttle:-1", "throttle:", "throttle:nan", ":0.5", ""]
WRONG_UPSTREAM = ["=throttle", "a b=throttle", "deepseek=", "x=y=throttle"]


@pytest.mark.parametrize("text", WRONG + WRONG_UPSTREAM)
def test_a_wrong_fault_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="throttle"):
        parse_fault(text)


def test_a_fault_hits_every_request_to_every_upstream_unless_it_says_less() -> None:
    assert parse_fault("stall") == Fault("stall", 1.0, "")
    assert parse_fault("my-vllm.eu=500:0.25") == Fault("500", 0.25, "my-vllm.eu")
    schedules = [FaultSchedule([parse_fault("deepseek=500"), parse_fault("stall")], name) for name in ("bedrock", "deepseek")]
    assert [[schedule.next() for _ in range(3)] for schedule in schedules] == [["stall"] * 3, ["500", "stall", "500"]]
