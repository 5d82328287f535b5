"""The entry point `batch`: a state machine of Step Functions calls it with each step of a batch."""

import asyncio
import os
from typing import Any, Protocol

from llm_functions import compose
from llm_functions.batch_steps.steps import BatchSteps
from llm_gateway import environment
from llm_gateway.http.client import HttpClient


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Do a step, and return what the state machine goes on with."""
    left = context.get_remaining_time_in_millis() / 1000
    return _loop.run_until_complete(_steps.run(event, left, os.environ.get("_X_AMZN_TRACE_ID", "")))


def _made() -> BatchSteps:
    store = compose.batch_store(_client)
    if store is None:
        raise ValueError(f"{environment.JOBS_TABLE}: it must name the table of jobs")
    return BatchSteps(
        compose.gateway(_client),
        store(),
        os.environ[environment.JOBS_BUCKET],
        lines_per_call=int(os.environ[environment.BATCH_LINES_PER_CALL]),
        answer_seconds=float(os.environ[environment.BATCH_ANSWER_SECONDS]),
        debug=os.environ.get(environment.DEBUG) == "true",
    )


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_client = HttpClient()
_steps = _made()
