"""The entry point `worker`: the queue of jobs hands their messages to it.

The event source mapping has `ReportBatchItemFailures`: what is named in the answer goes back to the queue.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
import os
from typing import Any, Protocol

from llm_functions import compose
from llm_functions.job_runner import JobRunner, Queue
from llm_gateway import environment
from llm_gateway.aws.client import Aws
from llm_gateway.aws.sqs import Sqs
from llm_gateway.http.client import HttpClient


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the jobs of a batch, all at once, and return the messages that the queue keeps."""
    left = context.get_remaining_time_in_millis() / 1000
    return _loop.run_until_complete(_runner.run(event["Records"], left, os.environ.get("_X_AMZN_TRACE_ID", "")))


def _made() -> JobRunner:
    store = compose.job_store(_client)
    if store is None:
        raise ValueError(f"{environment.JOBS_TABLE}: it must name the table of jobs")
    dead_letters = os.environ[environment.JOBS_DEAD_LETTERS_URL]
    queue = Queue(Sqs(Aws(_client)), os.environ[environment.JOBS_QUEUE_URL], dead_letters)
    max_tries, debug = int(os.environ[environment.JOBS_MAX_TRIES]), os.environ.get(environment.DEBUG) == "true"
    return JobRunner(compose.gateway(_client), store(), queue, max_tries, debug=debug)


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_client = HttpClient()
_runner = _made()
