"""A WebSocket API run on this machine: `websockets`, a client of its own, is the other side."""

import asyncio
import base64
import contextlib
import json
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from system.local.conftest import COMMAND, LocalStack, local_stack

# How often a connection is cut, and a function killed.
CUTS = int(os.environ.get("WEBSOCKET_CUTS", "10"))

pytestmark = pytest.mark.timeout(300 + 10 * CUTS)

PROGRAM = Path(__file__).with_name("programs") / "websocket"
PROTOCOL = "llm.chat.v1"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack("--model-delay", "0.05,0.03", directory=PROGRAM) as running:
        yield running


def key_protocol(key: str) -> str:
    return "llm.key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@contextlib.asynccontextmanager
async def connected(stack: LocalStack, **headers: str) -> AsyncIterator[ClientConnection]:
    given = headers or {"authorization": f"Bearer {stack.key}"}
    async with connect(stack.outputs["websocket_url"], additional_headers=given, max_size=None) as client:
        yield client


async def ask(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def receive_frame(client: ClientConnection) -> list[Any]:
    """The messages of a frame."""
    async with asyncio.timeout(60):
        received = json.loads(await client.recv())
    return received if isinstance(received, list) else [received]


async def receive(client: ClientConnection) -> Any:
    (message,) = await receive_frame(client)
    return message


async def messages_until_end(client: ClientConnection) -> list[Any]:
    messages: list[Any] = []
    while not messages or messages[-1]["type"] not in ("done", "error"):
        messages += await receive_frame(client)
    return messages


def text_of(messages: list[Any]) -> str:
    return "".join(message["text"] for message in messages if message["type"] == "delta")


@pytest.mark.assumes("websocket-event")
async def test_an_answer(stack: LocalStack) -> None:
    async with connected(stack) as client:
        await ask(client, action="chat", id="one", message="Tell me about rivers")
        messages = await messages_until_end(client)
    assert [m["seq"] for m in messages] == list(range(1, len(messages) + 1))
    assert {m["id"] for m in messages} == {"one"}
    texts = ("delta", "reasoning")
    assert [m["type"] for m in messages if m["type"] not in texts] == ["start", "usage", "done"]
    assert "Tell me about rivers" in text_of(messages)


# Credentials -> the status of the handshake, or the subprotocol that it takes up.
HANDSHAKES: dict[str, tuple[dict[str, str], list[str], Any]] = {
    "nothing": ({}, [], 401),
    "a wrong key": ({"x-api-key": "sk-wrong"}, [], 401),
    "a key": ({"x-api-key": "KEY"}, [], None),
    "a browser": ({}, [PROTOCOL, "KEY"], PROTOCOL),
    "a browser with a wrong key": ({}, [PROTOCOL, key_protocol("sk-wrong")], 401),
    "a page of this machine": ({"origin": "http://localhost:3000"}, [PROTOCOL, "KEY"], PROTOCOL),
    "a page of another one": ({"origin": "https://example.com"}, [PROTOCOL, "KEY"], 403),
    "a page without an address": ({"origin": "null"}, [PROTOCOL, "KEY"], 403),
    "a key and another protocol": ({"x-api-key": "KEY"}, ["graphql-ws"], 400),
}


@pytest.mark.assumes("websocket-identity")
@pytest.mark.parametrize(("headers", "protocols", "expected"), HANDSHAKES.values(), ids=HANDSHAKES)
async def test_a_handshake(stack: LocalStack, headers: dict[str, str], protocols: list[str], expected: Any) -> None:
    headers = {name: stack.key if value == "KEY" else value for name, value in headers.items()}
    offered: Any = [key_protocol(stack.key) if name == "KEY" else name for name in protocols]
    attempt = connect(stack.outputs["websocket_url"], additional_headers=headers, subprotocols=offered or None)
    if isinstance(expected, int):
        with pytest.raises(InvalidStatus) as refused:
            async with attempt:
                pass
        assert refused.value.response.status_code == expected
    else:
        async with attempt as client:
            assert client.subprotocol == expected
            await ask(client, action="ping")
            assert await receive(client) == {"type": "pong"}


async def test_a_browser_with_a_ticket(stack: LocalStack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=60) as http:
        refused = await http.post(f"{stack.url}/ws/ticket")
        assert refused.status_code == 401
        issued = await http.post(f"{stack.url}/ws/ticket", headers={"authorization": f"Bearer {stack.key}"})
    assert issued.status_code == 200, issued.text
    ticket = issued.json()

    async def attempt() -> ClientConnection | int:
        try:
            return await connect(stack.outputs["websocket_url"], subprotocols=ticket["subprotocols"])
        except InvalidStatus as status:
            return status.response.status_code

    # Two at once: one of them is in, and the ticket is gone.
    one, other = sorted(await asyncio.gather(attempt(), attempt()), key=lambda got: isinstance(got, int))
    assert isinstance(one, ClientConnection)
    async with one as client:
        assert client.subprotocol == PROTOCOL
        assert (other, await attempt()) == (401, 401)
        # The connection is its caller's: what it generates is resumed with the key.
        await ask(client, action="chat", id="ticket", message="Tell me about rivers")
        answer = await messages_until_end(client)
    assert answer[-1]["type"] == "done"
    async with connected(stack) as client:
        await ask(client, action="resume", id="ticket", seq=0)
        assert await messages_until_end(client) == answer


@pytest.mark.parametrize("path", ["/ws/more", "/other"])
async def test_another_path_is_forbidden(stack: LocalStack, path: str) -> None:
    url = stack.outputs["websocket_url"].removesuffix("/ws") + path
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers={"x-api-key": stack.key}):
            pass
    assert refused.value.response.status_code == 403


def test_a_websocket_api_alone_prints_what_calls_it() -> None:
    with local_stack("--model-delay", "0", directory=PROGRAM.with_name("websocket_alone"), json_output=False) as stack:
        assert stack.process.stdout is not None
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            printed.append(stack.process.stdout.readline().strip())
        assert "models   fast" in printed
        on_path = os.environ | {"PATH": f"{Path(COMMAND[0]).parent}:{os.environ['PATH']}"}
        for command, more in (
            ("chat --transport ws --endpoint ws:", "--message Hello"),
            ("load --websocket ws:", "--requests 1"),
        ):
            line = next(line for line in printed if command in line)
            done = subprocess.run(
                ["/bin/bash", "-c", f"{line} {more}"], env=on_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
        key = line.partition("--api-key ")[2]
        status = next(line.split()[1] for line in printed if line.startswith("status"))
        assert key and f"--api-key {key}" in httpx.get(status).text


async def test_the_page_shares_the_address(stack: LocalStack) -> None:
    page = await asyncio.to_thread(
        httpx.get, stack.outputs["websocket_url"].replace("ws:", "http:").removesuffix("ws") + "status"
    )
    assert (page.status_code, stack.outputs["websocket_url"] in page.text) == (200, True)


# What a client sends -> the code of the answer.
WRONG: dict[str, tuple[str, str]] = {
    "no JSON": ("hello", "invalid_message"),
    "an unknown action": ('{"action":"sing"}', "unknown_action"),
    "a route of API Gateway's own": ('{"action":"$connect"}', "unknown_action"),
    "an action that is no text": ('{"action":["chat"]}', "unknown_action"),
    "a chat without an id": ('{"action":"chat","message":"Hi"}', "invalid_value"),
    "a chat without a message": ('{"action":"chat","id":"x"}', "invalid_value"),
    "cancel of nothing": ('{"action":"cancel","id":"nothing"}', "unknown_generation"),
    "resume of nothing": ('{"action":"resume","id":"nothing","seq":0}', "unknown_generation"),
    "a second document": ('{"action":"chat","id":"x","message":"Hi"},"connection":"other","x":{}', "invalid_message"),
}


@pytest.mark.parametrize(("text", "code"), WRONG.values(), ids=WRONG)
async def test_a_wrong_message(stack: LocalStack, text: str, code: str) -> None:
    async with connected(stack) as client:
        await client.send(text)
        answer = await receive(client)
        assert (answer["type"], answer["error"]["code"], "seq" in answer) == ("error", code, False)


@pytest.mark.assumes("websocket-answers")
async def test_a_route_has_its_throttle(stack: LocalStack) -> None:
    async with connected(stack) as client:
        for _ in range(8):
            await ask(client, action="ping")
        answers = [await receive(client) for _ in range(8)]
    assert {"Too Many Requests"} == {answer["message"] for answer in answers if "message" in answer}


@pytest.mark.assumes("websocket-refusal")
def test_a_key_has_so_many_connections_and_each_its_messages_a_minute() -> None:
    async def attempt(stack: LocalStack) -> ClientConnection | int:
        try:
            return await connect(stack.outputs["websocket_url"], additional_headers={"x-api-key": stack.key})
        except InvalidStatus as status:
            return status.response.status_code

    async def crowd(stack: LocalStack) -> None:
        # What the program's settings say.
        most, messages, refusals = 5, 40, 100
        got = await asyncio.gather(*(attempt(stack) for _ in range(15)))
        clients = [each for each in got if isinstance(each, ClientConnection)]
        assert (len(clients), {each for each in got if isinstance(each, int)}) == (most, {429})
        await clients[0].close()
        async with asyncio.timeout(60):
            while isinstance(more := await attempt(stack), int):  # API Gateway reports the end a moment later
                pass
        assert await attempt(stack) == 429
        # Each message is told to wait, then the connection is closed. The others are not concerned.
        codes: list[str] = []
        with contextlib.suppress(ConnectionClosed):
            for _ in range(messages + refusals + 50):
                await ask(more, action="cancel", id="nothing")
                answer = await receive(more)
                assert answer["error"].get("retry_after", 60) <= 60
                codes.append(answer["error"]["code"])
        # A new minute may begin in between; then more are answered, and no more refused.
        assert (set(codes[:messages]), set(codes)) == ({"unknown_generation"}, {"unknown_generation", "rate_limited"})
        assert messages < len(codes) <= refusals
        await ask(clients[1], action="chat", id="beside", message="Hello")
        assert (await messages_until_end(clients[1]))[-1]["type"] == "done"
        for client in clients:
            await client.close()

    with local_stack("--model-delay", "0", directory=PROGRAM.with_name("websocket_alone")) as stack:
        asyncio.run(crowd(stack))


# Bytes of a message, sent in frames of so many bytes -> whether the connection survives.
SIZES: dict[str, tuple[int, int, bool]] = {
    "a frame": (30_000, 32 * 1024, True),
    "a large frame": (40_000, 100_000, False),
    "several frames": (120_000, 32 * 1024, True),
    "a large message": (140_000, 32 * 1024, False),
}


@pytest.mark.parametrize(("size", "frame", "survives"), SIZES.values(), ids=SIZES)
async def test_the_limits_of_a_message(stack: LocalStack, size: int, frame: int, survives: bool) -> None:
    text = json.dumps({"action": "sing", "text": "x" * size})
    async with connected(stack) as client:
        await client.send([text[start : start + frame] for start in range(0, len(text), frame)] if frame < size else text)
        if survives:
            assert (await receive(client))["error"]["code"] == "unknown_action"
        else:
            with pytest.raises(ConnectionClosed) as closed:
                await receive(client)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009


async def test_cancel(stack: LocalStack) -> None:
    async with connected(stack) as client:
        await ask(client, action="chat", id="cancelled", message="Tell me a long story " * 200)
        assert (await receive_frame(client))[0]["type"] == "start"
        await ask(client, action="cancel", id="cancelled")
        messages = await messages_until_end(client)
    assert messages[-1]["stop_reason"] == "cancelled"


async def test_generations_of_one_connection_run_side_by_side(stack: LocalStack) -> None:
    async with connected(stack) as client:
        for n in range(3):
            await ask(client, action="chat", id=f"beside-{n}", message=f"Question {n}")
        messages: dict[str, list[Any]] = {f"beside-{n}": [] for n in range(3)}
        while any(not each or each[-1]["type"] != "done" for each in messages.values()):
            for message in await receive_frame(client):
                messages[message["id"]].append(message)
    for n in range(3):
        assert f"Question {n}" in text_of(messages[f"beside-{n}"])


class Resuming:
    """A client that loses its connection, and comes back with the number of the last message that it has."""

    def __init__(self, stack: LocalStack, id: str) -> None:
        self._stack = stack
        self._id = id
        self._chat: dict[str, Any] = {}
        self.messages: list[Any] = []

    async def chat(self, message: str, cut_after: float) -> list[Any]:
        """Ask, cut TCP after some seconds, come back, and return every message."""
        self._chat = {"action": "chat", "id": self._id, "message": message}
        async with connected(self._stack) as client:
            await ask(client, **self._chat)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(cut_after):
                    await self._read(client)
            client.transport.abort()  # a reset: nothing that is on its way arrives, and nobody says goodbye
        for _ in range(5):
            if self._ended():
                break
            async with connected(self._stack) as client:
                await ask(client, action="resume", id=self._id, seq=len(self.messages))
                async with asyncio.timeout(60):
                    await self._read(client)
        return self.messages

    def _ended(self) -> bool:
        return bool(self.messages) and self.messages[-1]["type"] in ("done", "error")

    async def _read(self, client: ClientConnection) -> None:
        while not self._ended():
            for message in await receive_frame(client):
                await self._take(client, message)

    async def _take(self, client: ClientConnection, message: Any) -> None:
        seq = message.get("seq")
        if seq is None:
            match message["error"]["code"]:
                case "unknown_generation":  # the chat was lost with the connection, or is being taken
                    await ask(client, **self._chat)
                case "generation_exists":
                    await ask(client, action="resume", id=self._id, seq=len(self.messages))
                case _:
                    self.messages.append(message)
        elif seq == len(self.messages) + 1:
            self.messages.append(message)
        else:
            assert seq <= len(self.messages), "a message is missing"


async def test_a_cut_connection_loses_nothing(stack: LocalStack) -> None:
    question = "Tell me about the rivers of the world, and where each of them comes from, and where it goes to"
    async with connected(stack) as client:
        await ask(client, action="chat", id="whole", message=question)
        whole = text_of(await messages_until_end(client))
    chance = random.Random(7)
    gate = asyncio.Semaphore(6)

    async def one(n: int) -> str:
        async with gate:
            messages = await Resuming(stack, f"cut-{n}").chat(question, chance.uniform(0.0, 2.0))
            assert messages[-1]["type"] == "done", messages[-1]
            return text_of(messages)

    texts = await asyncio.gather(*(one(n) for n in range(CUTS)))
    assert [text == whole for text in texts] == [True] * CUTS


def kill_generations(stack: LocalStack) -> int:
    """Kill every process of the function that generates; of this stack alone. Returns how many there were."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    processes = [(int(pid), int(parent), line) for pid, parent, line in (each.split(None, 2) for each in listed.splitlines())]
    ours = {stack.process.pid}
    for _ in range(4):  # the command, its child, and what that runs
        ours |= {pid for pid, parent, _ in processes if parent in ours}
    function = "handler_host.py llm_functions.websocket.generations.handler"
    killed = [pid for pid, _, line in processes if pid in ours and function in line and "child.py" not in line]
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(killed)


async def test_a_killed_function_is_one_error_or_loses_nothing(stack: LocalStack) -> None:
    question = "Tell me about the rivers of the world, and where each of them comes from, and where it goes to"
    async with connected(stack) as client:
        await ask(client, action="chat", id="whole-2", message=question)
        whole = text_of(await messages_until_end(client))
    chance = random.Random(8)
    gate = asyncio.Semaphore(6)
    killed = 0

    async def kill() -> None:
        nonlocal killed
        while True:
            await asyncio.sleep(chance.uniform(0.3, 2.0))
            killed += await asyncio.to_thread(kill_generations, stack)

    async def one(n: int) -> list[Any]:
        async with gate:
            return await Resuming(stack, f"killed-{n}").chat(question, chance.uniform(0.0, 2.0))

    killing = asyncio.ensure_future(kill())
    answers = await asyncio.gather(*(one(n) for n in range(CUTS)))
    killing.cancel()
    failed = [messages for messages in answers if messages[-1]["type"] == "error"]
    for messages in answers:
        if messages in failed:
            assert messages[-1]["error"]["code"] == "function_failed"
            assert [m["type"] for m in messages].count("error") == 1
            assert whole.startswith(text_of(messages))
        else:
            assert text_of(messages) == whole
    assert killed > 0 < len(failed), f"{killed} killed, {len(failed)} failed"


def test_an_idle_connection_and_an_old_one_are_closed() -> None:
    async def closed_after(stack: LocalStack, pause: float) -> Any:
        async with connected(stack) as client:
            while True:
                try:
                    async with asyncio.timeout(pause):
                        await client.recv()
                except TimeoutError:
                    await ask(client, action="cancel", id="nothing")
                except ConnectionClosed as closed:
                    assert closed.rcvd is not None
                    return closed.rcvd.code

    limits = ("--websocket-idle", "1", "--websocket-life", "3")
    with local_stack(*limits, directory=PROGRAM) as stack:
        assert asyncio.run(closed_after(stack, 30)) == 1001  # idle
        assert asyncio.run(closed_after(stack, 0.3)) == 1001  # never idle, and too old
