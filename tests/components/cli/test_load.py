"""The command `load`: its bounds, its figures, its reports, and how it ends. A fake service answers over REST and SSE."""

import asyncio
import json
import os
import pty
import re
import select
import signal
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp import web
from typer.testing import CliRunner

from pulumi_llm.cli.command import app
from pulumi_llm.cli.load import plots
from pulumi_llm.cli.load.figures import FIGURES, FIRST_CHUNK, JITTER, RATE, TOTAL, quantile, summarize
from pulumi_llm.cli.load.runner import MAX_REQUESTS, LoadRun, Plan, Sample
from pulumi_llm.cli.transports import Answer, ChatError, TransportName

KEY = "sk-test-0123456789"
REST, SSE, WS = TransportName.REST, TransportName.SSE, TransportName.WS
COMMAND = [sys.executable, "-c", "from pulumi_llm.cli import main; main()", "load"]
ANSWER = {"message": "Hello", "model": "quick", "input_tokens": 3, "output_tokens": 7, "stop_reason": "end_turn"}
STREAM = [
    {"type": "start", "request_id": "r", "model": "quick"},
    *({"type": "delta", "text": text} for text in ("Hel", "lo", "!", "!")),
    {"type": "usage", "input_tokens": 3, "output_tokens": 7},
    {"type": "done", "stop_reason": "end_turn"},
]

# Figures.


def test_the_figures_are_those_of_the_web_client() -> None:
    """The cases of frontend/src/runs/figures.test.ts."""
    answer = Answer(output_tokens=20, arrivals=[0.3, 0.32, 0.34, 0.4], seconds=0.5)
    assert [figure.of(answer) for figure in (FIRST_CHUNK, TOTAL, RATE)] == [300, 500, 40]
    assert JITTER.of(answer) == pytest.approx(18.856, abs=0.001)
    assert JITTER.of(Answer(arrivals=[0.5], seconds=0.5)) is None
    nothing = Answer(seconds=0.5)
    assert (FIRST_CHUNK.of(nothing), RATE.of(nothing)) == (None, None)
    values = [40.0, 10.0, 30.0, 20.0]
    assert [quantile(values, q) for q in (0, 0.5, 0.95, 1)] == [10, 25, 38.5, 40]
    assert (quantile([7], 0.95), quantile([], 0.5)) == (7, None)
    shown = [TOTAL.text(1234.4), RATE.text(30.26), JITTER.text(7.04), JITTER.text(None)]
    assert shown == ["1,234", "30.3", "7.0", "–"]


# A fake service.


class Service:
    """Answers `POST /chat` and `/chat/stream`; before that, `refuse` may give another response to the request number n."""

    def __init__(self, refuse: Callable[[int], web.Response | None] = lambda _: None, pause: float = 0.0) -> None:
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.at_once = self.most_at_once = 0
        self._refuse = refuse
        self._pause = pause
        self.began = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.bodies.append(await request.json())
        self.began.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._pause)
            refused = self._refuse(len(self.paths))
            if refused is not None:
                return refused
            if request.path.endswith("/chat"):
                return web.json_response(ANSWER)
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for event in STREAM:
                await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            return response
        finally:
            self.at_once -= 1


async def serve(service: Service) -> tuple[web.AppRunner, str]:
    application = web.Application()
    application.router.add_post("/api/{path:.*}", service.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/api"


async def ran(service: Service, **plan: Any) -> LoadRun:
    runner, url = await serve(service)
    given = {"endpoints": {REST: url, SSE: url}, "message": "Hi", "options": {}, "concurrency": 3, "requests": 4}
    load = LoadRun(Plan(**given | plan), KEY)
    try:
        await load.run()
    finally:
        await runner.cleanup()
    return load


def throttled(seconds: int, code: str = "rate_limit_exceeded", status: int = 429) -> web.Response:
    error = {"code": code, "message": f"too many for {KEY}"}
    return web.json_response({"error": error}, status=status, headers={"retry-after": str(seconds)})


async def test_the_transports_take_turns_and_no_more_run_at_once() -> None:
    service = Service(pause=0.02)
    load = await ran(service)
    assert [service.paths.count(path) for path in ("/api/chat", "/api/chat/stream")] == [4, 4]
    assert {service.paths[n] for n in (0, 1)} == {"/api/chat", "/api/chat/stream"}
    assert service.most_at_once == 3
    messages = [body.pop("message") for body in service.bodies]
    assert all(re.fullmatch(r"\[[0-9a-f]{8}\] Hi", message) for message in messages)
    assert len({message[:9] for message in messages}) == 8  # no cache of prompts has the beginning
    assert service.bodies == [{}] * 8
    rest, sse = summarize(load.samples, [REST, SSE])
    assert (rest.complete, rest.failed, rest.output_tokens, sse.complete) == (4, 0, 28, 4)
    assert len(sse.values["jitter"]) == 4
    assert rest.values["jitter"] == []
    assert min(rest.values["total"]) >= 20


async def test_a_duration_ends_a_run_and_waits_for_what_is_under_way() -> None:
    service = Service(pause=0.1)
    load = await ran(service, requests=MAX_REQUESTS, seconds=1)
    assert 3 <= len(load.samples) == len(service.paths) < MAX_REQUESTS
    assert load.seconds >= 1
    assert all(sample.answer is not None for sample in load.samples)


async def test_a_refused_user_waits_as_long_as_the_service_asks() -> None:
    service = Service(lambda number: throttled(1) if number == 2 else None)
    load = await ran(service, concurrency=1, requests=2)
    assert len(service.paths) == 4
    assert load.waited == 1
    assert max(b.started - a.started for a, b in zip(load.samples, load.samples[1:], strict=False)) >= 1
    assert [sample.error.code for sample in load.samples if sample.error] == ["rate_limit_exceeded"]


ENDS: dict[str, tuple[Callable[[int], web.Response], int, str]] = {
    "nothing works": (lambda _: web.Response(status=500), 10, "10 requests in a row have failed"),
    "the quota is used up": (lambda _: throttled(3600, "quota_exceeded"), 1, "the service asks to wait 3600 s"),
}


@pytest.mark.parametrize(("refuse", "sent", "reason"), ENDS.values(), ids=ENDS)
async def test_a_run_that_has_no_hope_ends_early(refuse: Callable[[int], web.Response], sent: int, reason: str) -> None:
    service = Service(refuse)
    load = await ran(service, concurrency=1, requests=50)
    assert (len(service.paths), load.stopped) == (sent, reason)


# The command.


async def command(*arguments: str) -> tuple[int, str, str]:
    """The command in this process, in a thread, for it has an event loop of its own: exit code, stdout, stderr."""
    call = partial(CliRunner().invoke, app, ["load", *arguments], env={"PULUMI_LLM_API_KEY": KEY, "COLUMNS": "100"})
    done = await asyncio.to_thread(call)
    assert KEY not in done.stdout + done.stderr
    return done.exit_code, done.stdout, done.stderr


WRONG: dict[str, tuple[list[str], str]] = {
    "no address": ([], "--endpoint, --websocket: give the URL"),
    "no address for ws": (["--endpoint", "http://127.0.0.1:1/api", "--transport", "ws"], "--transport ws: needs --websocket"),
    "a wrong address": (["--websocket", "https://example.com"], "--websocket: error: invalid_endpoint: a WebSocket needs"),
    "two amounts": (
        ["--endpoint", "http://127.0.0.1:1", "--requests", "1", "--duration", "1"],
        "--duration: stands in the place of --requests",
    ),
    "no message": (["--endpoint", "http://127.0.0.1:1", "-m", " "], "--message: is empty"),
    "no folder": (["--endpoint", "http://127.0.0.1:1", "--json", "/nowhere/r.json"], "--json: there is no folder /nowhere"),
    "too many": (["--endpoint", "http://127.0.0.1:1", "--requests", "1001"], "'--requests': Input should be less"),
    "too much at once": (["--endpoint", "http://127.0.0.1:1", "--concurrency", "65"], "'--concurrency': Input should be less"),
    "unconfirmed": (
        ["--endpoint", "https://llm.example/api", "--websocket", "wss://ws.example/ws", "-m", "x" * 90],
        "llm.example and ws.example will get at most 30 requests (rest, sse, ws): about 1,800 tokens of input and at most "
        "3,000 of output. Give --yes",
    ),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG.values(), ids=WRONG)
async def test_refuses_wrong_arguments(arguments: list[str], text: str) -> None:
    code, out, err = await command(*arguments)
    assert (code, out) == (2, "")
    assert text in " ".join(err.split())


async def test_reports_a_run(tmp_path: Path) -> None:
    service = Service(lambda number: throttled(0) if number == 3 else None)
    runner, url = await serve(service)
    files = tmp_path / "load.json", tmp_path / "load.html"
    arguments = ["--endpoint", url, "--requests", "5", "--concurrency", "1", "-m", "<b>&", "--model", "quick"]
    code, out, err = await command(*arguments, "--json", str(files[0]), "--html", str(files[1]))
    await runner.cleanup()
    assert (code, err) == (1, "")
    assert re.search(r"First chunk \(ms\) +│ +[\d,]+ / [\d,]+ │ +[\d,]+ / [\d,]+\n", out)
    assert re.search(r"Complete +│ +4 │ +5\nFailed +│ +1 │ +0\n", out)
    assert "REST: 1 × rate_limit_exceeded\nerror: rate_limit_exceeded: too many for ***\n" in out

    written, page = json.loads(files[0].read_text()), files[1].read_text()
    assert KEY not in files[0].read_text() + page
    assert written["request"] == {"message": "<b>&", "max_tokens": 100, "model": "quick"}
    assert written["method"].startswith("Closed loop")
    assert written["errors"] == [{"transport": "rest", "code": "rate_limit_exceeded", "count": 1}]
    assert [sample["started"] for sample in written["samples"]] == sorted(s["started"] for s in written["samples"])
    rest = written["transports"]["rest"]
    totals = [s["total"] for s in written["samples"] if s["transport"] == "rest" and "total" in s]
    assert (rest["complete"], rest["failed"]) == (4, 1)
    assert rest["total"]["p50"] == pytest.approx(statistics.median(totals), abs=0.01)
    assert rest["jitter"]["p50"] is None

    assert not re.search(r"<script|<link|https?://(?!127\.0\.0\.1)|<b>", page)
    assert all(figure.meaning.split(".")[0] in page.replace("&#x27;", "'") for figure in FIGURES)
    for svg in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(svg)


async def test_ctrl_c_ends_a_run_and_reports_it() -> None:
    service = Service(pause=0.05)
    runner, url = await serve(service)
    child = await asyncio.create_subprocess_exec(
        *COMMAND, "--endpoint", url, "--requests", "1000", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        while len(service.paths) < 6:
            await service.began.wait()
            service.began.clear()
        child.send_signal(signal.SIGINT)
        out, _ = await child.communicate()
    await runner.cleanup()
    assert child.returncode == 130
    assert b"interrupted: the requests under way are not counted" in out
    assert b"First chunk (ms)" in out


async def test_shows_a_run_on_a_terminal() -> None:
    runner, url = await serve(Service(pause=0.1))
    master, slave = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("--endpoint", url, "--requests", "5"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    )
    os.close(slave)

    def read() -> str:
        shown = b""
        while select.select([master], [], [], 60)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # EIO: the child has closed its side
                break
        return shown.decode()

    shown = await asyncio.to_thread(read)
    assert await child.wait() == 0
    os.close(master)
    await runner.cleanup()
    assert re.search(r"\d of 10 requests ended, 0 failed, \d s", shown)
    assert shown.count("First chunk (ms)") > 1


# Plots.


def test_a_plot_without_values_says_so() -> None:
    assert "no such values" in plots.distribution(JITTER, {REST: []})
    assert "no requests" in plots.history("Total", "ms", {REST: []}, {REST: []})


def test_every_request_is_in_the_plots() -> None:
    samples = [Sample(WS, n / 10, 0.1, Answer(arrivals=[0.1], seconds=0.1 + n, output_tokens=1)) for n in range(20)]
    samples.append(Sample(WS, 5.0, 0.1, error=ChatError("x", "y")))
    (summary,) = summarize(samples, [WS])
    assert plots.distribution(TOTAL, {WS: summary.values["total"]}).count('class="mark"') == 20
    points = [(s.started, s.answer.seconds * 1000) for s in samples if s.answer]
    drawn = plots.history("Total", "ms", {WS: points}, {WS: [5.0]})
    assert drawn.count('class="mark"') == 20
    assert drawn.count("l8 8m0 -8l-8 8") == 1
    assert "WebSocket 20; failed: 1." in drawn
