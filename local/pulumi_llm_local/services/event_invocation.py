"""Lambda's asynchronous invocations: the caller is answered at once, and a failure goes to a destination.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.lambda_function import Function, FunctionError, FunctionThrottled
from pulumi_llm_local.services.local_run import LocalError

EVENT_INVOKE_CONFIG = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_EVENT_BYTES = 1024 * 1024
# What a function without a configuration has. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_RETRIES, _MAX_AGE_SECONDS = 2, 6 * 3600
# Seconds before the second and the third attempt.
_PAUSES = (60.0, 120.0)
# Seconds before an event is tried again that found every execution busy. "from 1 second … to a maximum of 5 minutes".
_FIRST_BUSY_PAUSE, _LONGEST_BUSY_PAUSE = 1.0, 300.0


class EventInvocations:
    """The asynchronous invocations of one run. Raises `LocalError` for a destination that is not played."""

    def __init__(self, graph: Graph, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._configurations = list(graph.of_type(EVENT_INVOKE_CONFIG))
        self._tasks: set[asyncio.Task[None]] = set()
        for configuration in self._configurations:
            for event, arn in _destinations(configuration.state).items():
                if event != "onFailure" or self._destination(arn) is None:
                    raise LocalError(f"the destination {event} {arn} is not played: only a function of the program's own is")

    def accept(self, function: Function, qualifier: str | None, event: Any) -> None:
        """Take an event. Raises `FunctionError` for one that is too large."""
        if len(json.dumps(event).encode()) > MAX_EVENT_BYTES:
            raise FunctionError(f"{function.name}: the event is larger than {MAX_EVENT_BYTES:,} bytes")
        task = asyncio.ensure_future(self._serve(function, qualifier, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, function: Function, qualifier: str | None, event: Any) -> None:
        state = self._configuration(function, qualifier)
        retries = int(state.get("maximumRetryAttempts", _RETRIES))
        end = time.monotonic() + float(state.get("maximumEventAgeInSeconds") or _MAX_AGE_SECONDS)
        attempts, busy = 0, _FIRST_BUSY_PAUSE
        while True:
            try:
                await function.invoke(event)
                return
            except FunctionThrottled as error:
                failure, pause = error, busy
                busy = min(2 * busy, _LONGEST_BUSY_PAUSE)
            except FunctionError as error:
                failure = error
                attempts += 1
                if attempts > retries:
                    condition = "RetriesExhausted"
                    break
                pause = _PAUSES[min(attempts, len(_PAUSES)) - 1]
            if time.monotonic() + pause > end:
                condition = "EventAgeExceeded"
                break
            await asyncio.sleep(pause)
        destination = self._destination(_destinations(state).get("onFailure", ""))
        if destination is not None:
            # Lambda invokes a destination asynchronously, too.
            self.accept(*destination, _record(function, qualifier, event, condition, attempts, failure))

    def _configuration(self, function: Function, qualifier: str | None) -> Mapping[str, Any]:
        for configuration in self._configurations:
            named = str(configuration.state["functionName"])
            if named in (function.name, function.arn) and (configuration.state.get("qualifier") or None) == qualifier:
                return configuration.state
        return {}

    def _destination(self, arn: str) -> tuple[Function, str | None] | None:
        """The function of an ARN with its qualifier, None if it is no function of the program."""
        match = re.fullmatch(r"arn:[^:]+:lambda:[^:]+:\d+:function:([^:]+)(?::([^:]+))?", arn)
        return (self._functions[match[1]], match[2]) if match and match[1] in self._functions else None


def _destinations(state: Mapping[str, Any]) -> dict[str, str]:
    """The ARNs of a configuration's destinations: onSuccess, onFailure."""
    given: dict[str, Any] = state.get("destinationConfig") or {}
    return {event: str(destination["destination"]) for event, destination in given.items() if destination}


def _record(
    function: Function, qualifier: str | None, event: Any, condition: str, attempts: int, failure: FunctionError
) -> Mapping[str, Any]:
    """The record of a failed invocation. A function that was never run has no response."""
    answered: dict[str, Any] = {}
    if attempts:
        answered = {
            "responseContext": {"statusCode": 200, "executedVersion": qualifier or "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": str(failure)},
        }
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": f"{function.arn}:{qualifier}" if qualifier else function.arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        **answered,
    }
