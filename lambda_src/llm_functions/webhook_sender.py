"""Sends events of jobs and batches to receivers over HTTPS, signed as Standard Webhooks has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

A body is the event's type, its time, and which job or batch it is about; nothing that a caller has written. Any answer of 2xx
is a receipt. After 410 the event is dropped, for the receiver is gone. After any other answer, or none, its message is hidden
for some time, by its age, and comes again; its queue gives it up when it has been received often enough, and keeps it as a dead
letter. A redirect is such an answer: following one would send the event to somebody whom nobody has named.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import random
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from llm_gateway.aws.secrets import Secrets
from llm_gateway.aws.sqs import Sqs, SqsError
from llm_gateway.errors import GatewayError
from llm_gateway.http.client import HttpClient
from llm_gateway.http.errors import HttpError
from llm_gateway.job_events import STATUS_OF
from llm_gateway.providers.exchange import retry_after
from llm_gateway.queues import (
    WEBHOOK_FUNCTION_SECONDS,
    WEBHOOK_LONGEST_PAUSE,
    WEBHOOK_LONGEST_WANTED_PAUSE,
    WEBHOOK_MESSAGE_SECONDS,
    WEBHOOK_PAUSE_BY_AGE,
    WEBHOOK_SHORTEST_PAUSE,
)
from llm_gateway.telemetry import write_warning

# Seconds that a receiver has for its answer. The specification advises 15 to 30.
_ANSWER_SECONDS = 15.0
# Seconds for each of the two calls by which a message is hidden: before it is sent, and where that fails.
CALL_SECONDS = 3.0
# In the place of the queue's own, far longer time: what a function that dies had in hand comes again soon.
_HIDDEN_SECONDS = 2 * WEBHOOK_FUNCTION_SECONDS
_PREFIX = "whsec_"
_GONE = 410
# The receiver may know a newer secret, or no longer the one that is cached.
_UNAUTHORIZED = (401, 403)


class Webhook(msgspec.Struct, frozen=True):
    """A receiver: the name of its notification, its URL, the ARN of its secret, and the queue of its events."""

    name: str
    url: str
    secret_arn: str
    queue_url: str


class Failure(Exception):
    """An event was not received. `retry_after` is in seconds, None if the receiver does not say."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class WebhookSender:
    """Sends to the receivers of a stack. A process has one.

    `local` is the URL below which the receivers of a local run are, each by its webhook's name; empty on Lambda.
    """

    def __init__(self, webhooks: Sequence[Webhook], client: HttpClient, secrets: Secrets, sqs: Sqs, *, local: str = "") -> None:
        self._of_queue = {webhook.queue_url.rpartition("/")[2]: webhook for webhook in webhooks}
        self._client = client
        self._secrets = secrets
        self._sqs = sqs
        self._local = local

    async def send(self, records: Sequence[Any]) -> dict[str, Any]:
        """Send the events of a batch, and return the messages that are to come again, as Lambda wants them named."""
        await asyncio.gather(*(self._hide(record, _HIDDEN_SECONDS) for record in records))
        done = await asyncio.gather(*map(self._is_done, records))
        kept = [record["messageId"] for record, is_done in zip(records, done, strict=True) if not is_done]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in kept]}

    async def _is_done(self, record: Any) -> bool:
        """Send one event. Returns whether its message is done."""
        webhook = self._webhook(record)
        try:
            id, body = _message(record["body"])
            await self._deliver(webhook, id, body)
            return True
        except Failure as failure:
            wanted, reason = failure.retry_after, str(failure)
        except ValueError as error:  # it is no event, and becomes a dead letter
            wanted, reason = None, f"the message is no event of a job: {type(error).__name__}: {error}"
        write_warning(f"webhook {webhook.name}: {reason}", request_id=str(record["messageId"]))
        age = time.time() - int(record["attributes"]["SentTimestamp"]) / 1000
        await self._hide(record, pause(age, wanted))
        return False

    def _webhook(self, record: Any) -> Webhook:
        return self._of_queue[record["eventSourceARN"].rpartition(":")[2]]

    async def _hide(self, record: Any, seconds: int) -> None:
        """Hide a message for so long from now on. If that fails, it stays hidden for as long as it was."""
        url = self._webhook(record).queue_url
        try:
            await self._sqs.change_visibility(url, record["receiptHandle"], seconds, timeout=CALL_SECONDS)
        except (SqsError, HttpError) as error:
            write_warning(f"the visibility of a message cannot be changed: {type(error).__name__}: {error}")

    async def _deliver(self, webhook: Webhook, id: str, body: bytes) -> None:
        """Send an event to its receiver. Raises `Failure`."""
        deadline = asyncio.get_running_loop().time() + WEBHOOK_MESSAGE_SECONDS
        try:
            secret = await self._secrets.get(webhook.secret_arn, deadline)
            signature = signed_headers(id, int(time.time()), body, secret)
        except GatewayError as error:
            raise Failure(f"the secret cannot be read: {error.detail}") from None
        except ValueError as error:
            raise Failure(f"the secret is wrong: {error}") from None
        url = f"{self._local}/{webhook.name}" if self._local else webhook.url
        headers = [("content-type", "application/json"), ("user-agent", "pulumi-llm-webhooks/1"), *signature]
        try:
            response = await self._client.send(
                "POST", url, headers, body, response_timeout=_ANSWER_SECONDS, read_timeout=_ANSWER_SECONDS, deadline=deadline
            )
        except HttpError as error:
            raise Failure(f"{type(error).__name__}: {error}") from None
        response.release()  # what it says is not read
        if response.status == _GONE:
            write_warning(f"webhook {webhook.name}: its receiver is gone (410), and the event {id} is dropped; remove it")
        elif not 200 <= response.status < 300:
            if response.status in _UNAUTHORIZED:
                self._secrets.forget(webhook.secret_arn)
            raise Failure(f"status {response.status}", retry_after(response.headers))


def signed_headers(id: str, timestamp: int, body: bytes, secret: str) -> list[tuple[str, str]]:
    """Return the headers that sign a message, by each of the secrets: a receiver that knows one of them takes it.

    Args:
        timestamp: When it is sent, in seconds since the epoch.
        secret: One or more, with white space between them, each `whsec_` and the key in Base64.

    Raises:
        ValueError: A secret has another form. The text does not show it.
    """
    signed = b"%b.%d.%b" % (id.encode(), timestamp, body)
    digests = [hmac.digest(_key(each), signed, hashlib.sha256) for each in secret.split()]
    signature = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return [("webhook-id", id), ("webhook-timestamp", str(timestamp)), ("webhook-signature", signature)]


def _key(secret: str) -> bytes:
    wrong = f"it must be {_PREFIX} and 24 to 64 bytes in Base64, or two of these with a space between them"
    if not secret.startswith(_PREFIX):
        raise ValueError(wrong)
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(wrong) from None
    if not 24 <= len(key) <= 64:
        raise ValueError(wrong)
    return key


def pause(age: float, wanted: float | None) -> int:
    """Return the seconds before a message comes again that is so many seconds old, at least as many as its receiver wants.

    What failed together comes back apart."""
    seconds = min(max(age * WEBHOOK_PAUSE_BY_AGE, WEBHOOK_SHORTEST_PAUSE), WEBHOOK_LONGEST_PAUSE)
    seconds *= 1 + random.random() / 10  # noqa: S311
    return int(min(max(seconds, wanted or 0), WEBHOOK_LONGEST_WANTED_PAUSE))


class _Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sent of an event's detail: these fields, and only in the forms that this package's events have. One from
    before `created` was one of them, in a queue or an archive, has none."""

    job: Annotated[str, msgspec.Meta(pattern=r"^(job|batch)_[0-9a-f]{32}\Z")]
    tenant: Annotated[str, msgspec.Meta(max_length=256)]
    alias: Annotated[str, msgspec.Meta(max_length=256)]
    status: str
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,10}\Z")]
    created: Annotated[str, msgspec.Meta(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)?\Z")] = ""


class _Event(msgspec.Struct, frozen=True, rename={"type": "detail-type"}):
    type: str
    time: datetime
    detail: _Detail


_decode = msgspec.json.Decoder(_Event).decode
_NO_PUNCTUATION = str.maketrans("", "", "-:.")


def _message(text: str) -> tuple[str, bytes]:
    """Return the id and the body of the message for an event. Raises `ValueError`.

    A change of a job has one id, however often its event comes, so that a receiver knows what it has already. A job's id may
    come again once the job has expired, so its time is in it, too.

    What is told of a batch has the form of OpenAI's webhooks, so that their clients can read it.
    https://platform.openai.com/docs/api-reference/webhook-events
    """
    event = _decode(text)
    detail = event.detail
    if STATUS_OF.get(event.type) != detail.status or not detail.job.startswith(event.type.partition(".")[0]):
        raise ValueError("its type is not that of its job")
    id = "-".join(filter(None, (detail.job, detail.created.translate(_NO_PUNCTUATION), detail.version)))
    body: dict[str, Any] = {"type": event.type, "timestamp": event.time, "data": detail}
    if event.type.startswith("batch."):
        fields: dict[str, Any] = msgspec.to_builtins(detail)
        data = {"id": fields.pop("job"), **fields}
        body = {"id": id, "object": "event", "created_at": int(event.time.timestamp()), "type": event.type, "data": data}
    return id, msgspec.json.encode(body)
