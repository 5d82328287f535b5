"""The entry point `webhooks`: queues hand events of jobs to it, each the queue of one webhook.

Each event source mapping has `ReportBatchItemFailures`: what is named in the answer goes back to its queue.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
import os
from typing import Any

import msgspec

from llm_functions.webhook_sender import Webhook, WebhookSender
from llm_gateway import environment
from llm_gateway.aws.client import Aws
from llm_gateway.aws.secrets import Secrets
from llm_gateway.aws.sqs import Sqs
from llm_gateway.http.client import HttpClient


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Send the events of a batch, all at once, and return the messages that the queue keeps."""
    return _loop.run_until_complete(_sender.send(event["Records"]))


def _made() -> WebhookSender:
    webhooks = msgspec.json.decode(os.environ[environment.WEBHOOKS], type=list[Webhook])
    local = os.environ.get(environment.WEBHOOKS_RECEIVER, "")
    aws = Aws(HttpClient())
    # A receiver's answers are not read, so its connections are not those of AWS. Its name may lead anywhere.
    return WebhookSender(webhooks, HttpClient(public_only=not local), Secrets(aws), Sqs(aws), local=local)


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_sender = _made()
