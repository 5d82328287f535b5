"""AWS Lambda around a bundle: the Runtime API on loopback, the environment that Lambda sets, and the life of its processes.

AWS's own parts run against it as they do on Lambda: the Web Adapter as an external extension, the Python runtime client as
the runtime. An environment serves one invocation at a time and is frozen between two, is killed at an invocation's deadline,
and ends with its runtime; the next invocation gets a new one.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (and …/runtimes-extensions-api.html, …/runtimes-custom.html for
streamed responses, …/lambda-runtime-environment.html for the phases, …/configuration-envvars.html for the variables)
"""

import asyncio
import base64
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi_llm.base import bundle
from pulumi_llm_local.engine.command import locked
from pulumi_llm_local.services.process import spawn

REGION = "us-east-1"
# Lambda's own limit for an initialization, in seconds.
INIT_SECONDS = 60.0  # Lambda's own limit is 10; a busy machine needs longer


class LambdaError(Exception):
    """An invocation or an initialization that failed, as its caller sees it. `payload` is what was posted, where it was."""

    def __init__(self, type: str, message: str, payload: Any = None) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message
        self.payload = payload


class Invocation:
    """One call of the function. Iterate for the response's chunks as they arrive; the end raises `LambdaError` if it failed."""

    def __init__(self, event: Any, seconds: float) -> None:
        self.event = json.dumps(event).encode()
        self.request_id = str(uuid.uuid4())
        self.seconds = seconds
        self.deadline_ms = int((time.time() + seconds) * 1000)
        # The response's headers, known with its first chunk.
        self.headers: Mapping[str, str] = {}
        self.error: LambdaError | None = None
        self.ended = asyncio.Event()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
        if self.error is not None:
            raise self.error

    async def payload(self) -> bytes:
        """The whole response."""
        return b"".join([chunk async for chunk in self])

    # What the environment tells it.

    def add(self, chunk: bytes) -> None:
        if not self.ended.is_set():
            self._chunks.put_nowait(chunk)

    def end(self, error: LambdaError | None = None) -> None:
        if not self.ended.is_set():
            self.error = error
            self.ended.set()
            self._chunks.put_nowait(None)


@dataclass
class Lambda:
    """A function. `invoke` makes an execution environment where there is none; `stop` ends it.

    `code` is the unpacked bundle (/var/task), `opt` the unpacked layers (/opt), whose `extensions` are started first.
    `runtime` is the managed runtime's own command, which the function's wrapper may replace. `timeout` is in seconds.
    """

    code: Path
    handler: str
    variables: Mapping[str, str]
    log: Path
    opt: Path | None = None
    runtime: Sequence[str] = ()
    runtime_folder: Path = Path("/var/runtime")
    timeout: float = 60.0
    # Every environment that there was, the last of which may be alive.
    environments: list["Environment"] = field(default_factory=list)

    async def invoke(self, event: Any, timeout: float | None = None) -> Invocation:
        """Call the function, one call at a time. An initialization that fails is the invocation's error."""
        alive = next((each for each in self.environments[-1:] if not each.ended.is_set()), None)
        if alive is None:
            alive = Environment(self)
            self.environments.append(alive)
            try:
                await alive.start()
            except LambdaError as error:
                failed = Invocation(event, 0)
                failed.end(error)
                return failed
        invocation = Invocation(event, self.timeout if timeout is None else timeout)
        alive.give(invocation)
        return invocation

    def extensions(self) -> dict[str, Path]:
        """The layers' external extensions by their names, in the order in which they start."""
        return {each.name: each for each in sorted((self.opt / "extensions").iterdir())} if self.opt else {}

    async def stop(self) -> None:
        for environment in self.environments:
            await environment.stop()

    @property
    def environment(self) -> "Environment":
        return self.environments[-1]

    def logged(self) -> str:
        return self.log.read_text(errors="replace")


class Environment:
    """One execution environment: a Runtime API of its own, the extensions and the runtime."""

    def __init__(self, function: Lambda) -> None:
        self._function = function
        self.ended = asyncio.Event()
        self.frozen = asyncio.Event()
        self.extensions: list[str] = []  # by the names under which they registered
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self._server: asyncio.Server | None = None
        self._address = ""
        self._registered = asyncio.Event()
        self._ready: dict[str, asyncio.Event] = {}
        self._failure: LambdaError | None = None
        self._current: Invocation | None = None
        self._next: asyncio.Queue[Invocation] = asyncio.Queue()
        self._deadline: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """The phase INIT: every extension registers, then the runtime starts, then all have asked for the next event."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        try:
            async with asyncio.timeout(INIT_SECONDS):
                for name, extension in self._function.extensions().items():
                    await self._spawn(name, [str(extension)], self._extension_variables())
                    await self._unless_ended(self._registered)
                    self._registered.clear()
                await self._spawn("runtime", self._command(), self._runtime_variables())
                for name in self.processes:
                    await self._unless_ended(self._ready.setdefault(name, asyncio.Event()))
        except TimeoutError:
            self.kill(LambdaError("Sandbox.Timedout", f"the initialization took longer than {INIT_SECONDS:g} s"))
        if self._failure is not None:
            await self.stop()
            raise self._failure

    def give(self, invocation: Invocation) -> None:
        self._signal(signal.SIGCONT)
        self._current = invocation
        timed_out = LambdaError("Sandbox.Timedout", f"Task timed out after {invocation.seconds:.2f} seconds")
        self._deadline = asyncio.get_running_loop().call_later(invocation.seconds, self.kill, timed_out)
        self._next.put_nowait(invocation)

    def kill(self, error: LambdaError | None = None) -> None:
        """End every process; an invocation under way fails with `error`. Idempotent."""
        if not self.ended.is_set():
            self.ended.set()
            self._failure = error or LambdaError("Sandbox.Stopped", "the environment was ended")
            self._over(self._failure)
        for process in self.processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """`kill`, and wait until nothing is left."""
        self.kill()
        for process in self.processes.values():
            await process.wait()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def crash(self) -> None:
        """The runtime dies now, as by the kernel's hand."""
        os.killpg(self.processes["runtime"].pid, signal.SIGKILL)

    # Its processes.

    def _command(self) -> list[str]:
        wrapper = self._function.variables.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper is None:
            return list(self._function.runtime)
        assert self._function.opt is not None
        return [str(self._function.opt / Path(wrapper).relative_to("/opt")), *self._function.runtime]

    def _runtime_variables(self) -> dict[str, str]:
        return self._extension_variables() | {
            "_HANDLER": self._function.handler,
            "LAMBDA_TASK_ROOT": str(self._function.code),
            "LAMBDA_RUNTIME_DIR": str(self._function.runtime_folder),
            "PYTHONPATH": str(self._function.runtime_folder),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{bundle.RUNTIME}",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/31/[1]0123456789abcdef0123456789abcdef",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        }

    def _extension_variables(self) -> dict[str, str]:
        """An extension sees the function's variables, but not those of the runtime's process."""
        return {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_SESSION_TOKEN": "test-token",
            **self._function.variables,
            "AWS_LAMBDA_RUNTIME_API": self._address,
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "PATH": f"{Path(bundle.host_python()).parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
        }

    async def _spawn(self, name: str, command: list[str], variables: Mapping[str, str]) -> None:
        # In a group of its own, which child.py ends when this process is gone, however it goes.
        self.processes[name] = process = await spawn(
            bundle.host_python(), command, variables, self._function.log, self._function.code
        )
        self._do(self._watch, name, process)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        kind, what = ("Runtime.ExitError", "Runtime") if name == "runtime" else ("Extension.Crash", f"Extension {name}")
        self.kill(LambdaError(kind, f"Error: {what} exited with error: {how}"))

    def _signal(self, which: signal.Signals) -> None:
        """Freeze or thaw. child.py goes on watching, so that nothing frozen is left behind. Linux only."""
        self.frozen.clear()
        for process in self.processes.values():
            for child in children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, which)
        if which is signal.SIGSTOP:
            self.frozen.set()

    async def _unless_ended(self, event: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.ended.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    def _do(self, what: Callable[..., Any], *arguments: Any) -> None:
        task = asyncio.ensure_future(what(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The Runtime API and the Extensions API.

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._do(self._serve, reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _Request.read(reader, writer)) is not None:
                status, headers, body = await self._answer(request)
                await request.drop()
                writer.write(_response(status, headers, body))
                await writer.drain()
        except ConnectionError:
            pass  # the process went away, as it may
        finally:
            writer.close()

    async def _answer(self, request: "_Request") -> tuple[int, dict[str, str], bytes]:
        match request.method, request.path.split("/")[2:]:
            case "POST", ["extension", "register"]:
                name = request.headers["lambda-extension-name"]
                # Lambda refuses a name that is not the file's in /opt/extensions.
                if name not in self._function.extensions():
                    return 403, {}, _error("Extension.InvalidName", f"there is no extension {name}")
                self.extensions.append(name)
                self._registered.set()
                about = {"functionName": "function", "functionVersion": "1", "handler": self._function.handler}
                return 200, {"Lambda-Extension-Identifier": str(uuid.uuid4())}, json.dumps(about).encode()
            case "GET", ["extension", "event", "next"]:
                self._ready.setdefault(self.extensions[-1], asyncio.Event()).set()
                await asyncio.Event().wait()  # it registered for no event, so none comes
            case "GET", ["runtime", "invocation", "next"]:
                return await self._give_next()
            case "POST", ["runtime", "init", "error"]:
                posted = json.loads(await request.whole())
                error = LambdaError(posted["errorType"], posted["errorMessage"], posted)
                self.kill(error)
                return 202, {}, b'{"status":"OK"}'
            case "POST", ["runtime", "invocation", request_id, what]:
                current = self._current
                if current is None or current.request_id != request_id or current.ended.is_set():
                    return 400, {}, _error("InvalidRequestID", f"there is no invocation {request_id} under way")
                if what == "error":
                    posted = json.loads(await request.whole())
                    self._over(LambdaError(posted["errorType"], posted["errorMessage"], posted))
                else:
                    await self._take_response(current, request)
                return 202, {}, b'{"status":"OK"}'
        return 404, {}, _error("NotFound", request.path)

    async def _give_next(self) -> tuple[int, dict[str, str], bytes]:
        self._ready.setdefault("runtime", asyncio.Event()).set()
        if self._current is not None and self._next.empty():
            self._signal(signal.SIGSTOP)
        invocation = await self._next.get()
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:123456789012:function:function:live",
            "Lambda-Runtime-Trace-Id": "Root=1-5e1b4151-43a0913a12345678901234567;Parent=53995c3f42cd8ad8;Sampled=0",
        }
        return 200, headers, invocation.event

    async def _take_response(self, invocation: Invocation, request: "_Request") -> None:
        invocation.headers = request.headers
        try:
            async for chunk in request.body():
                invocation.add(chunk)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._over(LambdaError("Runtime.TruncatedResponse", "the connection broke off in the middle of the response"))
            return
        # A streamed response tells that it failed in its trailers.
        kind = request.trailers.get("lambda-runtime-function-error-type")
        text = base64.b64decode(request.trailers.get("lambda-runtime-function-error-body", "")).decode()
        self._over(LambdaError(kind, text) if kind else None)

    def _over(self, error: LambdaError | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._current is not None:
            self._current.end(error)


@dataclass
class _Request:
    """One HTTP/1.1 request. The chunks of its body are the client's own."""

    method: str
    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    trailers: dict[str, str] = field(default_factory=dict)
    _read: bool = False

    @classmethod
    async def read(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Request | None":
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        return cls(method, path, _fields(lines), reader, writer)

    async def body(self) -> AsyncIterator[bytes]:
        if self._read:
            return
        self._read = True
        if self.headers.get("expect") == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.headers.get("transfer-encoding") != "chunked":
            if length := int(self.headers.get("content-length", "0")):
                yield await self.reader.readexactly(length)
            return
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        lines: list[str] = []
        while (line := (await self.reader.readuntil(b"\r\n")).decode().strip()) != "":
            lines.append(line)
        self.trailers = _fields(lines)

    async def whole(self) -> bytes:
        return b"".join([chunk async for chunk in self.body()])

    async def drop(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await self.whole()


def _fields(lines: Sequence[str]) -> dict[str, str]:
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _response(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def children(pid: int) -> list[int]:
    """The processes that `pid` started; none where the system does not tell."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def free_port() -> int:
    """A port below the range that the system gives to others that ask for any."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


# AWS's Lambda Web Adapter.

# The newest on crates.io: from 1.0.0 on the crate is not published, and AWS's layer 30 is 1.1.0.
ADAPTER_VERSION = "1.0.0-rc1"
# layer/bootstrap of the crate, which the layer puts into /opt.
_ADAPTER_BOOTSTRAP = '#!/bin/bash\n\nexec -- "${LAMBDA_TASK_ROOT}/${_HANDLER}"\n'
_ADAPTER_BUILD_SECONDS = 900


class MissingPart(Exception):
    """A part that this machine lacks; the text says which, and the line that would install it."""


def web_adapter_layer(tell: Callable[[str], None]) -> Path:
    """The Web Adapter's layer, unpacked: what /opt holds. Built by cargo, once for this cache. Raises `MissingPart`."""
    layer = bundle.cache_folder() / f"lambda-web-adapter-{ADAPTER_VERSION}"
    with locked(layer):
        if not (layer / "bin" / "lambda-adapter").exists():
            _build_adapter(layer, tell)
        extension = layer / "opt" / "extensions" / "lambda-adapter"
        if not extension.exists():
            extension.parent.mkdir(parents=True, exist_ok=True)
            wrapper = layer / "opt" / "bootstrap"
            wrapper.write_text(_ADAPTER_BOOTSTRAP)
            wrapper.chmod(0o755)
            os.link(layer / "bin" / "lambda-adapter", extension)
    return layer / "opt"


def _build_adapter(layer: Path, tell: Callable[[str], None]) -> None:
    install = f"cargo install --locked --version ={ADAPTER_VERSION} --root {layer} lambda_web_adapter"
    cargo = shutil.which("cargo")
    if cargo is None:
        raise MissingPart(f"no cargo here to build AWS's Lambda Web Adapter: install Rust (https://rustup.rs), then {install}")
    tell(f"building AWS's Lambda Web Adapter {ADAPTER_VERSION} (once; one to three minutes)")
    lines: list[str] = []
    with subprocess.Popen(
        [cargo, *install.split()[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as building:
        try:
            assert building.stderr is not None
            began, compiled = time.monotonic(), 0
            for line in building.stderr:
                lines.append(line)
                compiled += bool(re.match(r"\s*Compiling ", line))
                if compiled and compiled % 40 == 0 and "Compiling" in line:
                    tell(f"  {compiled} crates, {time.monotonic() - began:.0f} s")
                if time.monotonic() - began > _ADAPTER_BUILD_SECONDS:
                    break
            else:
                if building.wait() == 0:
                    return
        finally:
            if building.poll() is None:
                os.killpg(building.pid, signal.SIGKILL)
    raise MissingPart(f"AWS's Lambda Web Adapter cannot be built here: {install}\n{''.join(lines[-5:]).strip()}")
