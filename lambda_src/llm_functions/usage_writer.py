"""The entry point `usage_writer`: CloudWatch Logs hands the records of requests to it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
"""

import asyncio
import base64
import gzip
import os
from typing import Any

import msgspec

from llm_gateway import environment
from llm_gateway.aws.client import Aws
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.http.client import HttpClient
from llm_gateway.telemetry import write_warning
from llm_gateway.usage_writer import UsageWriter


def handler(event: dict[str, Any], _context: object) -> None:
    """Count the records of a batch. An error makes Lambda hand the same batch over again."""
    batch: dict[str, Any] = msgspec.json.decode(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if batch["messageType"] == "DATA_MESSAGE":  # CloudWatch Logs looks with another one whether anybody is there
        _loop.run_until_complete(_writer.write(f"{batch['logGroup']} {batch['logStream']}", batch["logEvents"]))


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_writer = UsageWriter(DynamoDB(Aws(HttpClient())), os.environ[environment.USAGE_TABLE], write_warning)
