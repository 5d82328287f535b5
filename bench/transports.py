"""What each transport adds to the provider's own stream: to the first piece, and per token.

    python bench/transports.py

A stack runs on this machine (`pulumi-llm local`, in a process of its own). The same request goes to the Bedrock that it plays,
directly and signed, and over REST, SSE and the WebSocket API, by the clients of `pulumi-llm chat`; the four take turns, so that
a busy machine slows all of them. The stand-in model waits for nothing: a stream is as fast as everything between it and the
client can be, so what a token costs is seen. Every figure contains the local run's own stand-ins for API Gateway and Lambda,
which share one process with Bedrock; `overhead.py` measures the function alone. A WebSocket's figures also contain the
asynchronous call of its function, the journal in moto, and the 50 ms for which tokens are collected. REST calls Converse, which
streams nothing, so it may take less than the stream. Medians over the rounds.

After that, the weight of the web client: its files, each compressed by gzip as CloudFront would. Where Chromium is on PATH,
also the time to interactive: from the navigation until the page has a message field that takes input and the list of models
from the service. That is measured over loopback, each time with an empty cache.
"""

import asyncio
import gzip
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpClient
from pulumi_llm.base import web_client
from pulumi_llm.base.web_client import WebClientError
from pulumi_llm.cli.transports import TransportName, open_transport

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests/system/local/programs/transports"
MODEL = "openai.gpt-oss-20b-1:0"
ROUNDS = 21  # the first makes the connections and does not count
TOKENS = 256
# The stand-in repeats the prompt word by word: one word of many tokens gives an answer of any length.
PROMPT = "token." * 200
AIM_BYTES = 150_000

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_ROUNDS = 7
# Notes the time, since the navigation began, at which the message can be written and the models are known.
WATCH = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("textarea:not(:disabled)") || !document.querySelector("select option:not([value])")) return;
  observer.disconnect();
  requestAnimationFrame(() => { window.interactiveAt = performance.now(); });
}).observe(document, { childList: true, subtree: true, attributes: true });
"""


class Timed(NamedTuple):
    """Milliseconds until the first piece of an answer, and until its end."""

    first: float
    total: float


class Silent:
    """Shows nothing."""

    def answer(self, text: str) -> None: ...

    def reasoning(self, text: str) -> None: ...

    def reconnecting(self) -> None: ...


Call = Callable[[], Awaitable[Timed]]


def main() -> None:
    stack = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True, cwd=PROGRAM)
    try:
        assert stack.stdout is not None
        outputs = json.loads(stack.stdout.readline())
        asyncio.run(compare(outputs))
        page_weight()
        time_to_interactive(outputs["page"])
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(30)


async def compare(stack: Mapping[str, str]) -> None:
    urls = {TransportName.WS: stack["websocket_url"]}
    async with HttpClient() as client:
        key, url = stack["api_key_value"], stack["api_gateway_url"]
        transports = [open_transport(name, urls.get(name, url), key) for name in TransportName]
        body: dict[str, object] = {"message": PROMPT, "max_tokens": TOKENS}

        def over(index: int) -> Call:
            async def call() -> Timed:
                answer = await transports[index].ask(body, Silent())
                assert answer.output_tokens == TOKENS, answer
                return Timed((answer.first_chunk or 0) * 1000, answer.seconds * 1000)

            return call

        ways: dict[str, Call] = {"direct": _direct(client, stack), **{name: over(n) for n, name in enumerate(TransportName)}}
        timed: dict[str, list[Timed]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name, call in ways.items():
                answer = await call()
                if number:
                    timed[name].append(answer)
        for transport in transports:
            await transport.close()
    print(f"{TOKENS} tokens at full speed, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':8} {'first piece':>12} {'added':>8} {'total':>9} {'ratio':>6} {'added per token':>16}")
    d_first, d_total = (statistics.median(each) for each in zip(*timed["direct"], strict=True))
    for name, answers in timed.items():
        first, total = (statistics.median(each) for each in zip(*answers, strict=True))
        print(
            f"{name:8} {first:9.1f} ms {first - d_first:5.1f} ms {total:6.1f} ms {total / d_total:6.2f}"
            f" {(total - d_total) / TOKENS * 1000:13.0f} µs"
        )


def _direct(client: HttpClient, variables: Mapping[str, str]) -> Call:
    """Read Bedrock's stream of the same request, as it comes."""
    aws = Aws(client, {name: value for name, value in variables.items() if name.startswith("AWS_")})

    async def call() -> Timed:
        request = {
            "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
            "inferenceConfig": {"maxTokens": TOKENS, "temperature": 0.7, "topP": 0.9},
            "system": [{"text": "You are a helpful AI assistant."}],
        }
        path, body = f"/model/{quote(MODEL, safe='')}/converse-stream", json.dumps(request).encode()
        times = {"response_timeout": 30.0, "read_timeout": 30.0}
        start = time.perf_counter()
        response = await aws.post("bedrock-runtime", path, [("content-type", "application/json")], body, **times)
        first, parts = 0.0, list[bytes]()
        async for part in response.chunks():
            parts.append(part)
            if not first and b"contentBlockDelta" in part:
                first = time.perf_counter()
        end = time.perf_counter()
        assert response.status == 200, parts
        return Timed((first - start) * 1000, (end - start) * 1000)

    return call


def page_weight() -> None:
    """Print what a browser loads, compressed."""
    try:
        files = web_client.files()
    except WebClientError as error:
        print(f"\nthe web client is not measured: {error}")
        return
    sizes = {path: len(gzip.compress(file.read_bytes())) for path, file in files.items()}
    print(f"\nthe web client: {sum(sizes.values()):,} bytes compressed, of {AIM_BYTES:,} at most")
    for path, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {size:8,}  {path}")


def time_to_interactive(page: str) -> None:
    """Print how long the page takes until it can be used, by Chromium's own protocol."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"the time to interactive is not measured: none of {', '.join(BROWSERS)} is on PATH")
        return
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        process = subprocess.Popen([browser, *flags, "about:blank"], stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            address = next(line.split()[-1] for line in process.stderr if "DevTools listening on" in line)
            times = asyncio.run(_interactive_times(address, page))
        finally:
            process.terminate()
            process.wait()
    print(f"time to interactive: {statistics.median(times):.0f} ms (median of {PAGE_ROUNDS}, most {max(times):.0f} ms)")


async def _interactive_times(address: str, page: str) -> list[float]:
    async with connect(address, max_size=None) as client:
        return [await _interactive(client, page) for _ in range(PAGE_ROUNDS)]


async def _interactive(client: ClientConnection, page: str) -> float:
    numbers = itertools.count(1)

    async def command(method: str, session: str = "", **parameters: Any) -> Any:
        id = next(numbers)
        message = {"id": id, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        await client.send(json.dumps(message))
        async with asyncio.timeout(60):
            while (answer := json.loads(await client.recv())).get("id") != id:
                pass
        return answer["result"]

    context = (await command("Target.createBrowserContext"))["browserContextId"]
    target = (await command("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
    session = (await command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    await command("Page.enable", session)
    await command("Page.addScriptToEvaluateOnNewDocument", session, source=WATCH)
    await command("Page.navigate", session, url=page)
    while True:
        found = await command("Runtime.evaluate", session, expression="window.interactiveAt ?? 0")
        if found["result"].get("value"):
            await command("Target.disposeBrowserContext", browserContextId=context)
            return found["result"]["value"]
        await asyncio.sleep(0.05)


async def serve() -> None:
    """Run the stack until Ctrl-C, and print its outputs and Bedrock's variables as JSON."""
    from pulumi_llm_local.run.supervisor import Options, running, until_stopped
    from pulumi_llm_local.upstreams.stand_in_model import StandInModel

    options = Options(PROGRAM, "dev", 0, StandInModel())
    async with running(options, lambda _: None) as run:
        print(json.dumps({**run.outputs, **run.bedrock, "page": run.page}), flush=True)
        await until_stopped()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
