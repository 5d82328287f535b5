"""What the cache of answers adds to a request, and what a hit costs: latency and CPU of the pipeline, and calls of the store.

    python bench/answer_cache.py

The pipeline runs in this process, in front of a provider that answers at once with 100 tokens, one by one. The store is a
process of its own on this machine, which knows no more of DynamoDB than the cache asks for, and answers after DELAY seconds, as
DynamoDB does in the same Region. One request runs at a time; the cases take turns. It ends by itself after about 25 seconds.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from aiohttp import web

from llm_gateway import telemetry
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.client import Aws
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import ANONYMOUS
from llm_gateway.pipeline import answer
from llm_gateway.request import ChatRequest, Message, Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes, Target
from llm_gateway.stages.cache import Cache

DELAY = 0.004
ROUNDS, REQUESTS = 10, 60
TOKENS = 100

TARGET = Target("p/m", "p", "m", 4096, 100_000, ("max_tokens", "temperature"))
ALIAS = Alias("chat", (TARGET,))
MESSAGES = (Message("user", "What is the capital of France, and since when? " * 20),)


class Provider:
    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        for _ in range(TOKENS):
            yield [Delta(" token")]
        yield [Usage(200, TOKENS), Done("end_turn")]


def store(port: Any) -> None:
    """Serve what the cache asks of DynamoDB."""
    items: dict[tuple[str, str], dict[str, Any]] = {}

    async def serve(request: web.Request) -> web.Response:
        operation, body = request.headers["x-amz-target"].partition(".")[2], msgspec.json.decode(await request.read())
        await asyncio.sleep(DELAY)
        answered: dict[str, Any] = {}
        match operation:
            case "PutItem":
                item = body["Item"]
                place = (item["generation"]["S"], item["seq"]["N"])
                if place in items and place[1] == "0":
                    refused = {"__type": "x#ConditionalCheckFailedException", "Item": items[place]}
                    return web.Response(status=400, body=msgspec.json.encode(refused))
                items[place] = item
            case "UpdateItem":
                key, values, names = body["Key"], body["ExpressionAttributeValues"], body["ExpressionAttributeNames"]
                item = items[key["generation"]["S"], key["seq"]["N"]]
                sets = body["UpdateExpression"].removeprefix("SET ").split(", ")
                item |= {names[name]: values[value] for name, value in (each.split(" = ") for each in sets)}
                answered = {"Attributes": item}
            case "Query":
                generation = body["ExpressionAttributeValues"][":key"]["S"]
                answered = {"Items": [item for (each, _), item in items.items() if each == generation]}
            case _:
                raise AssertionError(operation)
        return web.Response(body=msgspec.json.encode(answered))

    async def main() -> None:
        application = web.Application(client_max_size=2**24)
        application.router.add_post("/", serve)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def measure(url: str) -> None:
    keys = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_DYNAMODB": url}
    async with HttpClient() as client:
        calls = 0

        class Counted(DynamoDB):
            async def _call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
                nonlocal calls
                calls += 1
                return await super()._call(operation, body)

        settings = AnswerCache(3600)
        cached = Cache(Counted(Aws(client, keys)), "table", settings, [], print)
        router = Router({"p": Provider()})
        off, on = Gateway(Routes((ALIAS,)), router), Gateway(Routes((ALIAS,), cache=settings), router, cache=cached)
        number = 0

        async def ask(gateway: Gateway, temperature: float, *, new: bool) -> tuple[float, float]:
            """The seconds until the first event and the last."""
            nonlocal number
            number += new
            text = MESSAGES[0].text + (str(number) if new else "")
            request = ChatRequest((Message("user", text),), stream=True, sampling=Sampling(temperature=temperature))
            began, first = time.perf_counter(), 0.0
            async for _ in answer(gateway, request, ANONYMOUS, "r", asyncio.get_running_loop().time() + 60):
                first = first or time.perf_counter() - began
            return first, time.perf_counter() - began

        cases = {
            "off": (off, 0.0, True),
            "on, not cached (temperature 0.7)": (on, 0.7, True),
            "on, a miss": (on, 0.0, True),
            "on, a hit": (on, 0.0, False),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        cpu, asked = dict.fromkeys(cases, 0.0), dict.fromkeys(cases, 0)
        for round_ in range(ROUNDS + 1):
            for name, (gateway, temperature, new) in cases.items():
                used, before = time.process_time(), calls
                times = [await ask(gateway, temperature, new=new) for _ in range(REQUESTS)]
                if round_:  # the first makes the connections, and the answer that is hit
                    found[name] += times
                    cpu[name] += time.process_time() - used
                    asked[name] += calls - before
    print(f"{'':34} {'first ms':>9} {'last ms':>9} {'CPU ms':>8} {'store calls':>12}")
    for name, times in found.items():
        first, last = (statistics.median(each) * 1000 for each in zip(*times, strict=True))
        print(f"{name:34} {first:9.2f} {last:9.2f} {cpu[name] / len(times) * 1000:8.2f} {asked[name] / len(times):12.2f}")


def main() -> None:
    telemetry.write_log = lambda fields: None
    port: Any = multiprocessing.Queue()  # pyright: ignore[reportUnknownVariableType]
    process = multiprocessing.Process(target=store, args=(port,), daemon=True)
    process.start()
    try:
        asyncio.run(measure(f"http://127.0.0.1:{port.get(timeout=10)}"))
    finally:
        process.terminate()


if __name__ == "__main__":
    main()
