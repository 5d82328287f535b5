"""A Lambda function as a process of its own, run from its bundle with its own environment.

A function behind the Web Adapter (its handler is a script) is an HTTP server already; the local run plays the adapter and
sets the two headers that the adapter sets. A function that is a Python handler is put behind `handler_host`.
"""

import asyncio
import contextlib
import json
import math
import re
import secrets
import time
import uuid
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from llm_gateway import environment
from llm_gateway.environment import INVOKER_HEADER
from llm_gateway.routes import Routes
from pulumi_llm.base.bundle import host_python
from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program.graph import Resource
from pulumi_llm_local.program.routes import function_variables, routes_document
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.process import spawn, start_server, stop_process

PLAYED = frozenset({FUNCTION, "aws:lambda/permission:Permission"})
IMPLIED = frozenset({"aws:lambda/alias:Alias"})
# Seconds that a function may take to listen. Lambda's own limit for an initialization is 10 s.
_START_SECONDS = 10.0
# By which the Web Adapter and the runtime tell an invocation's trace.
TRACE_HEADER = "x-amzn-trace-id"
_ROOT = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}")
# How many environments of a function start at once. More would only slow each other down on one machine, and be too late.
_MOST_STARTING = 8


class FunctionError(Exception):
    """The function did not start, died, or answered with nothing that can be understood.

    `error_type` is its name in Step Functions: an exception's class, or one of Lambda's errors.
    https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
    """

    error_type = "Lambda.Unknown"


class FunctionTimedOut(FunctionError):
    """The function took longer than it may."""

    error_type = "Sandbox.Timedout"


class FunctionRaised(FunctionError):
    """The handler raised an exception."""

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class FunctionThrottled(FunctionError):
    """Lambda rejects the invocation: as many are in flight as the function's reserved concurrency.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
    """

    error_type = "Lambda.TooManyRequestsException"


async def start(run: LocalRun) -> None:
    """Start every function of the program. Raises `FunctionError`."""
    variables = run.aws_variables() | run.variables
    for resource in run.graph.of_type(FUNCTION):
        function = Function(resource, variables, run.logs / f"{resource.name}.log", run.addresses)
        run.functions[function.name] = function
        run.stop.push_async_callback(function.stop)
    await asyncio.gather(*(function.start() for function in run.functions.values()))


def streams(function: Resource) -> bool:
    """Tell whether a function answers invocations with a stream, as the Web Adapter does in that mode."""
    return function_variables(function.state).get("AWS_LWA_INVOKE_MODE") == "response_stream"


class Function:
    """One function. `start` before the first call; `stop` ends its process group.

    `environment` is what Lambda sets; `addresses` stand in the place of variables that the program sets, which are `variables`.
    """

    def __init__(self, resource: Resource, environment: Mapping[str, str], log: Path, addresses: Mapping[str, str]) -> None:
        self.name = str(resource.state["name"])
        self.arn = str(resource.state["arn"])
        self.timeout = float(resource.state.get("timeout") or 3)
        self._resource = resource
        self.variables = function_variables(resource.state)
        self.root = Path(resource.inputs["code"]["path"])
        self._environment = environment
        self._addresses = addresses
        self._log = log
        self._secret = secrets.token_urlsafe(24)  # others on this machine reach the function's port, too
        self._starting = asyncio.Lock()
        # A function behind the Web Adapter takes all calls in one process. A handler takes one at a time; these are free.
        self._idle: list[_Environment] = []
        self._environments: list[_Environment] = []
        self._starts = 0  # environments that are starting for an event
        self._freed = asyncio.Event()  # another event may have an environment, or start one
        reserved = resource.state.get("reservedConcurrentExecutions")
        self._most_in_flight = math.inf if reserved is None or reserved < 0 else reserved
        self._in_flight = 0
        self._session: aiohttp.ClientSession | None = None

    @property
    def streams(self) -> bool:
        """Whether it answers invocations with a stream."""
        return streams(self._resource)

    @property
    def routes(self) -> Routes | None:
        """The routes document of its bundle; None where there is none."""
        return routes_document(self._resource)

    async def start(self) -> None:
        """Start a first environment, and wait until it listens. Raises `FunctionError`."""
        async with self._starting:
            if not any(environment.runs for environment in self._environments):
                self._idle = [await self._start_environment()]

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        await asyncio.gather(*(environment.stop() for environment in self._environments))

    @contextlib.contextmanager
    def invocation(self) -> Generator[None]:
        """Hold one of the function's concurrent executions, for a `request` until its answer has been read.

        Raises `FunctionThrottled` where all are held.
        """
        if self._in_flight >= self._most_in_flight:
            raise FunctionThrottled(f"{self.name}: Rate Exceeded: reserved concurrency is {self._most_in_flight:.0f}")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def request(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes, context: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        """One invocation of a function behind the Web Adapter; returns at the response's head. Raises `FunctionError`.

        `context` is API Gateway's request context. The invocation's own request id and deadline are made here.
        """
        adapter = {
            INVOKER_HEADER: self._secret,
            "x-amzn-request-context": json.dumps(context),
            "x-amzn-lambda-context": json.dumps(self._lambda_context()),
            TRACE_HEADER: self._trace(next((value for name, value in headers if name.lower() == TRACE_HEADER), "")),
        }
        sent = [(name, value) for name, value in headers if name.lower() not in (*adapter, *_HOP_BY_HOP)]
        await self.start()
        environment = self._environments[-1]
        try:
            return await self._send(environment, method, path, [*sent, *adapter.items()], body)
        except aiohttp.ClientConnectorError:
            # Nobody listens: it has just died, and the request has not reached it.
            await environment.stop()
            await self.start()
            return await self._send(self._environments[-1], method, path, [*sent, *adapter.items()], body)

    async def invoke(self, event: Mapping[str, Any]) -> Any:
        """One invocation of a Python handler, in a free environment or a new one. Raises `FunctionError` with its error."""
        headers = [
            (INVOKER_HEADER, self._secret),
            ("x-request-id", str(uuid.uuid4())),
            ("x-deadline-ms", str(int((time.time() + self.timeout) * 1000))),
            (TRACE_HEADER, self._trace()),
        ]
        with self.invocation():
            environment = await self._free_environment()
            try:
                try:
                    response = await self._send(environment, "POST", "/", headers, json.dumps(event).encode())
                except aiohttp.ClientConnectorError:
                    await environment.stop()  # it has just died, and the event has not reached it
                    environment = await self._start_environment()
                    response = await self._send(environment, "POST", "/", headers, json.dumps(event).encode())
                async with response:
                    answer = await response.json(content_type=None)
            except (aiohttp.ClientError, ValueError) as error:
                await environment.stop()
                raise FunctionError(f"{self.name} ended without an answer: {error}") from error
            except BaseException:  # it timed out, or nobody waits for it any more: Lambda ends such an environment
                await environment.stop()
                raise
            self._idle.append(environment)
            self._freed.set()
        if response.status != 200:
            raise FunctionRaised(str(answer["errorMessage"]), str(answer["errorType"]))
        return answer

    async def _free_environment(self) -> "_Environment":
        while True:
            while self._idle:
                environment = self._idle.pop()
                if environment.runs:
                    return environment
            if self._starts < _MOST_STARTING:
                break
            self._freed.clear()
            await self._freed.wait()
        self._starts += 1
        try:
            return await self._start_environment()
        finally:
            self._starts -= 1
            self._freed.set()

    async def _start_environment(self) -> "_Environment":
        self._session = self._session or aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),  # what no client has sent
        )
        environment = _Environment()
        port = await start_server(partial(self._spawn, environment), _START_SECONDS)
        if port is None:
            raise FunctionError(f"{self.name} did not start; the end of {self._log}:\n{_tail(self._log)}")
        environment.port = port
        self._environments = [*(each for each in self._environments if each.runs), environment]
        return environment

    async def _send(
        self, environment: "_Environment", method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> aiohttp.ClientResponse:
        assert self._session is not None
        limit = aiohttp.ClientTimeout(total=self.timeout)
        send = partial(self._session.request, method, headers=headers, data=body, allow_redirects=False, timeout=limit)
        try:
            return await send(f"http://127.0.0.1:{environment.port}{path}")
        except TimeoutError:
            raise FunctionTimedOut(f"{self.name} timed out after {self.timeout:g} s") from None
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise FunctionError(f"{self.name} ended without an answer: {error}") from error

    async def _spawn(self, started: "_Environment", port: int) -> asyncio.subprocess.Process:
        handler = str(self._resource.state["handler"])
        python = host_python()
        if (self.root / handler).is_file():
            command = ["/bin/sh", handler]
        else:
            host = Path(__file__).with_name("handler_host.py")
            command = [python, "-S", "-P", str(host), handler, str(port)]
        started.process = await spawn(python, command, self._process_environment(port), self._log, self.root)
        return started.process

    def _process_environment(self, port: int) -> dict[str, str]:
        memory = str(int(self._resource.state.get("memorySize") or 128))
        logs: dict[str, Any] = self._resource.state.get("loggingConfig") or {}
        return {
            **self._environment,
            **self.variables,
            **{name: address for name, address in self._addresses.items() if name in self.variables},
            environment.PORT: str(port),
            environment.INVOKER: self._secret,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(self._resource.state.get("version") or "$LATEST"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory,
            "AWS_LAMBDA_LOG_GROUP_NAME": str(logs.get("logGroup") or f"/aws/lambda/{self.name}"),
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "LAMBDA_TASK_ROOT": str(self.root),
            "_HANDLER": str(self._resource.state["handler"]),
            "PATH": f"{Path(host_python()).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(self.root),
            "PYTHONNOUSERSITE": "1",
            "TZ": ":UTC",
            "LANG": "en_US.UTF-8",
        }

    def _trace(self, header: str = "") -> str:
        """Return X-Ray's header of an invocation, in the trace that a caller's header names: Lambda makes a segment of its own,
        and samples all where tracing is active. https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
        """
        found = _ROOT.search(header)
        root = found[0] if found else f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        tracing: dict[str, Any] = self._resource.state.get("tracingConfig") or {}
        active = tracing.get("mode") == "Active"
        return f"{root};Parent={secrets.token_hex(8)};Sampled={int(active)}"

    def _lambda_context(self) -> dict[str, Any]:
        return {
            "request_id": str(uuid.uuid4()),
            "deadline": int((time.time() + self.timeout) * 1000),
            "invoked_function_arn": f"{self.arn}:live",
            "xray_trace_id": None,
            "env_config": {"function_name": self.name},
        }


class _Environment:
    """An execution environment: a process that serves the function on a port."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def stop(self) -> None:
        await stop_process(self.process)


# What belongs to one hop and not to the request.
_HOP_BY_HOP = ("connection", "host", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer", "expect")


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(it wrote nothing)"
