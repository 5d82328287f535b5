"""Servers that may be scaled to zero: their queue is told that they are wanted, beside the requests that want them."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest

from llm_gateway import demand, errors
from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event
from llm_gateway.request import CHAT_PARAMETERS, ChatRequest, Message, Sampling
from llm_gateway.router import COOLDOWN, Router
from llm_gateway.routes import Alias, Endpoint, Target
from wire.bedrock import Wire
from wire.callers import CHAT, TRANSPORTS, Transport
from wire.harness import Harness
from wire.provider_responses import CONVERSE, TEXT, VLLM, Vllm, bedrock_error
from wire.replying import Reply, ReplyingUpstream

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/wake-qwen3"
CHAT_STREAM = TRANSPORTS["chat stream"]
# What an Application Load Balancer answers where no target is registered.
NO_TARGET = Wire.response(
    503,
    b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n</html>\r\n",
    content_type="text/html",
    server="awselb/2.0",
)
TAKEN = Wire.response(200, {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": "0" * 32})
DENIED = Wire.response(
    400, {"__type": "com.amazonaws.sqs#AccessDenied", "message": "not authorized to perform: sqs:SendMessage"}
)


class Sleeping(Vllm):
    """A pool of vLLM servers that is scaled to zero."""

    endpoint = Endpoint(name="vllm", type="openai_compatible", wake_queue_url=QUEUE)


SLEEPING = Sleeping()


def reply(data: bytes, then: Any = "keeps") -> Callable[[bool], Reply]:
    return lambda _: Reply(data, then)


async def sqs(harness: Harness, *replies: Callable[[bool], Reply]) -> ReplyingUpstream:
    return await harness.upstream(*(replies or (reply(TAKEN),)))


@pytest.mark.assumes("pool-answers")
@pytest.mark.assumes("message-in-time")
@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_another_target_answers_and_the_queue_is_told(harness: Harness, transport: Transport) -> None:
    queue = await sqs(harness)
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    service = await harness.gateway(cold, await harness.healthy(CONVERSE), sqs=queue.url)
    outcome = await transport.call(service)
    assert (outcome.text, outcome.target) == (TEXT, CONVERSE.target.name)
    # When the answer has ended, Lambda may freeze the function: the message has left by then.
    assert queue.bodies == [{"QueueUrl": QUEUE, "MessageBody": json.dumps({"provider": "vllm"}, separators=(",", ":"))}]
    assert "\r\nx-amz-target: AmazonSQS.SendMessage\r\n" in queue.heads[0]
    assert "\r\ncontent-type: application/x-amz-json-1.0\r\n" in queue.heads[0]
    assert "/us-east-1/sqs/aws4_request" in queue.heads[0]


@pytest.mark.parametrize("transport", [CHAT, CHAT_STREAM], ids=["complete", "streamed"])
async def test_without_another_target_the_caller_is_told_that_the_model_is_loaded(
    harness: Harness, transport: Transport
) -> None:
    queue = await sqs(harness)
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    outcome = await transport.call(await harness.gateway(cold, sqs=queue.url, retries=2))
    assert (outcome.status, outcome.code, outcome.headers["retry-after"]) == (503, "model_not_ready", "30")
    assert len(queue.bodies) == 1 and cold.upstream is not None and cold.upstream.calls == 1


async def test_servers_that_never_sleep_are_only_unavailable(harness: Harness) -> None:
    queue = await sqs(harness)
    outcome = await CHAT.call(await harness.gateway(await harness.replying(VLLM, reply(NO_TARGET)), sqs=queue.url))
    assert (outcome.status, outcome.code) == (503, "upstream_unavailable")
    assert queue.bodies == []


async def test_a_pool_that_answers_is_not_woken(harness: Harness) -> None:
    queue = await sqs(harness)
    service = await harness.gateway(await harness.healthy(SLEEPING), sqs=queue.url)
    assert (await CHAT.call(service)).text == TEXT
    assert queue.bodies == []


async def test_a_queue_is_told_now_and_then_while_there_is_demand(harness: Harness, clock) -> None:
    """Also while the pool is passed over, and not more often than that by many requests at once."""
    queue = await sqs(harness)
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    service = await harness.gateway(cold, await harness.healthy(CONVERSE), sqs=queue.url)
    told: list[int] = []
    for _ in range(4):
        await asyncio.gather(*(CHAT.call(service) for _ in range(5)))
        told.append(len(queue.bodies))
        clock.forward(demand.INTERVAL / 2)
    assert told == [1, 1, 2, 2]


class Failing:
    """A pool that fails."""

    def __init__(self, error: GatewayError) -> None:
        self.error = error

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        raise self.error
        yield []


class Answering:
    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        yield [Delta("Hi"), Done("end_turn")]


@pytest.mark.parametrize(
    ("error", "woken"),
    [
        (errors.model_not_ready(), ["pool"]),
        (errors.upstream_unavailable(), ["pool"]),
        (errors.upstream_timeout(), ["pool"]),
        # A wrong address or key, which no further server mends.
        (errors.upstream_misconfigured(), []),
    ],
)
async def test_only_a_request_that_the_pool_would_take_is_demand(error: GatewayError, woken: list[str]) -> None:
    """What is refused with 400 keeps no GPU awake, nor does a pool that is wrongly configured."""
    bounds = (4096, 32_768, CHAT_PARAMETERS)
    alias = Alias("chat", (Target("pool/r1", "pool", "r1", *bounds), Target("bedrock/x", "bedrock", "x", *bounds)))
    told: list[str] = []
    router = Router({"pool": Failing(error), "bedrock": Answering()}, wake=told.append)
    deadline = asyncio.get_running_loop().time() + 60
    asked = ChatRequest(messages=(Message("user", "Hi"),))
    opened = await router.open(asked, alias, deadline, [])
    await opened.rest.aclose()
    assert told == woken
    with pytest.raises(GatewayError, match="takes 0 to 1"):
        await router.open(msgspec.structs.replace(asked, sampling=Sampling(temperature=1.5)), alias, deadline, [])
    assert told == woken
    # While it cools down, it is passed over, and wanted all the same.
    opened = await router.open(asked, alias, deadline, [])
    await opened.rest.aclose()
    assert told == 2 * woken


class Salted(Vllm):
    """A pool whose prefix cache all tenants share."""

    endpoint = Endpoint(name="vllm", type="openai_compatible", cache_salt=True)


async def test_a_tenant_s_prompts_are_apart_in_the_prefix_cache(harness: Harness) -> None:
    """The salt is the gateway's own: what a caller sends as one is not passed on."""
    salts: list[str | None] = []
    for provider in (Salted(), VLLM):
        pool = await harness.healthy(provider)
        await CHAT.call(await harness.gateway(pool))
        assert pool.upstream is not None
        salts.append(pool.upstream.bodies[0].get("cache_salt"))
    assert salts == [hashlib.sha256(b"anonymous").hexdigest(), None]


async def test_where_the_pool_comes_second_only_the_failure_of_the_first_wakes_it(harness: Harness) -> None:
    queue = await sqs(harness)
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    first = await harness.replying(
        CONVERSE, CONVERSE.answer, reply(bedrock_error("ThrottlingException", 429, "Too many requests"))
    )
    service = await harness.gateway(first, cold, sqs=queue.url)
    assert (await CHAT.call(service)).target == CONVERSE.target.name and queue.bodies == []
    assert (await CHAT.call(service)).code == "all_targets_failed" and len(queue.bodies) == 1


async def test_with_the_pool_back_the_traffic_returns(harness: Harness, clock) -> None:
    queue = await sqs(harness)
    pool = await harness.replying(SLEEPING, reply(NO_TARGET), SLEEPING.answer)
    service = await harness.gateway(pool, await harness.healthy(CONVERSE), sqs=queue.url)
    targets = []
    for _ in range(3):
        targets.append((await CHAT.call(service)).target)
        clock.forward(20)
    assert targets == [CONVERSE.target.name, CONVERSE.target.name, SLEEPING.target.name]


# what SQS does with the message -> what the log says
LOST: dict[str, tuple[Callable[[bool], Reply], str]] = {
    "it may not be sent": (reply(DENIED), "vllm cannot be woken: status 400: "),
    "SQS answers nothing": (reply(b"", "waits"), "vllm cannot be woken: "),
    "SQS closes the connection": (reply(b"", "closes"), "vllm cannot be woken: "),
    "SQS sends what is no HTTP": (reply(b"hello\r\n\r\n", "closes"), "vllm cannot be woken: "),
}


@pytest.mark.parametrize(("answer", "logged"), LOST.values(), ids=LOST)
async def test_a_message_that_is_lost_is_logged_and_sent_again_later(
    harness: Harness, clock, capfdbinary, answer: Callable[[bool], Reply], logged: str
) -> None:
    queue = await sqs(harness, answer, reply(TAKEN))
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    service = await harness.gateway(cold, await harness.healthy(CONVERSE), sqs=queue.url)
    outcome = await CHAT_STREAM.call(service)
    assert outcome.text == TEXT
    await asyncio.sleep(demand.SEND_SECONDS + demand.RETRY_INTERVAL + COOLDOWN)  # the clock leaps
    assert (await CHAT.call(service)).text == TEXT
    assert len(queue.bodies) == 2
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    warned = [line["message"] for line in lines if line["level"] == "WARN"]
    assert len(warned) == 1 and warned[0].startswith(logged)


async def test_a_message_that_hangs_keeps_no_answer_waiting_for_long(harness: Harness, clock) -> None:
    """Not the first token at all, and the end for a second."""
    queue = await sqs(harness, reply(b"", "waits"))
    cold = await harness.replying(SLEEPING, reply(NO_TARGET))
    service = await harness.gateway(cold, await harness.healthy(CONVERSE), sqs=queue.url)
    began = clock.now()
    outcome = await CHAT_STREAM.call(service)
    assert outcome.text == TEXT
    assert clock.now() - began == pytest.approx(demand.END_SECONDS, abs=0.1)


@pytest.mark.parametrize("begun", [False, True], ids=["before the first token", "after it"])
async def test_an_answer_that_a_draining_server_aborts(harness: Harness, begun: bool) -> None:
    """vLLM aborts what it has not ended when its time to drain is over, and what comes when it drains already."""
    queue = await sqs(harness)
    said = SLEEPING.delta("Hello") if begun else b""
    stream = SLEEPING.head + SLEEPING.opening() + said + SLEEPING.ending("abort") + Wire.STREAM_END
    service = await harness.gateway(
        await harness.replying(SLEEPING, reply(stream)), await harness.healthy(CONVERSE), sqs=queue.url
    )
    outcome = await CHAT_STREAM.call(service)
    if begun:
        assert (outcome.text, outcome.code, outcome.target) == ("Hello", "upstream_failed", SLEEPING.target.name)
    else:
        assert (outcome.text, outcome.code, outcome.target) == (TEXT, "", CONVERSE.target.name)
    assert len(queue.bodies) == 1
