"""Webhooks: how they are signed, what is sent, what a receiver's answers do, and what never gets into the log."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from llm_functions import webhook_sender
from llm_functions.webhook_sender import Webhook, WebhookSender, pause, signed_headers
from llm_gateway import errors, queues
from llm_gateway.http.errors import ConnectError
from pulumi_llm_local.services.webhooks import new_secret, problem_of
from support.programs import ROOT

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs-webhook-queue-shop"
WEBHOOK = Webhook("shop", "https://shop.example.com/hooks?x=1", "arn:secret", QUEUE)
SECRET = new_secret()
EVENT: dict[str, Any] = {
    "detail-type": "job.succeeded",
    "time": "2026-11-30T19:02:44Z",
    "detail": {
        "job": f"job_{'1' * 32}",
        "tenant": "shop",
        "alias": "fast",
        "status": "succeeded",
        "created": "2026-11-30T19:01:00.123Z",
        "version": "3",
    },
}


class Response:
    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status, self.headers, self.released = status, headers, False

    def release(self) -> None:
        self.released = True


class Receiver:
    """Stands for the client: the answers of a receiver, in turn."""

    def __init__(self, *answers: int | tuple[int, dict[str, str]] | Exception) -> None:
        self.answers, self.requests = list(answers), list[tuple[str, dict[str, str], bytes]]()
        self.responses: list[Response] = []

    async def send(self, method: str, url: str, headers: Any, body: bytes, **_: Any) -> Response:
        assert method == "POST"
        self.requests.append((url, dict(headers), body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, head = answer if isinstance(answer, tuple) else (answer, {})
        self.responses.append(Response(status, head))
        return self.responses[-1]


class Secrets:
    def __init__(self, secret: str | Exception) -> None:
        self.secret, self.forgotten = secret, list[str]()

    async def get(self, arn: str, _deadline: float) -> str:
        assert arn == WEBHOOK.secret_arn
        if isinstance(self.secret, Exception):
            raise self.secret
        return self.secret

    def forget(self, arn: str) -> None:
        self.forgotten.append(arn)


class Sqs:
    def __init__(self) -> None:
        self.began: list[tuple[str, str]] = []
        self.hidden: list[tuple[str, str, int]] = []

    async def change_visibility(self, url: str, receipt: str, seconds: int, *, timeout: float) -> None:
        if seconds == 2 * queues.WEBHOOK_FUNCTION_SECONDS:  # before anything else: what a function that dies has in hand
            assert self.hidden == []
            self.began.append((url, receipt))
        else:
            self.hidden.append((url, receipt, seconds))


class Sent:
    def __init__(self, *answers: Any, secret: str | Exception = SECRET, local: str = "") -> None:
        self.receiver, self.secrets, self.sqs = Receiver(*answers), Secrets(secret), Sqs()
        client: Any = self.receiver
        given: Any = (self.secrets, self.sqs)
        self.sender = WebhookSender([WEBHOOK], client, *given, local=local)

    async def send(self, *bodies: Any, age: float = 1) -> list[str]:
        """Send a batch, and return the messages that come again."""
        records = [
            {
                "messageId": str(number),
                "receiptHandle": f"receipt {number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:jobs-webhook-queue-shop",
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int((time.time() - age) * 1000))},
            }
            for number, body in enumerate(bodies)
        ]
        return [each["itemIdentifier"] for each in (await self.sender.send(records))["batchItemFailures"]]


def test_a_message_is_signed_as_the_specification_s_libraries_sign_it() -> None:
    """The vector of their tests: https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries"""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )
    assert headers == [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]


async def test_the_receiver_gets_the_event_once_signed_and_none_of_its_answer_is_read() -> None:
    sent = Sent(204)
    assert await sent.send(EVENT) == []
    ((url, headers, body),) = sent.receiver.requests
    assert (url, headers["content-type"]) == (WEBHOOK.url, "application/json")
    assert problem_of(headers, body, SECRET) == ""
    # The same change has the same id, whatever brings it again.
    assert headers["webhook-id"] == f"job_{'1' * 32}-20261130T190100123Z-3"
    assert json.loads(body) == {"type": "job.succeeded", "timestamp": EVENT["time"], "data": EVENT["detail"]}
    assert sent.receiver.responses[0].released and sent.sqs.hidden == []
    assert sent.sqs.began == [(QUEUE, "receipt 0")]


async def test_while_a_secret_is_changed_a_receiver_that_knows_either_takes_the_message() -> None:
    old, new = new_secret(), new_secret()
    sent = Sent(200, secret=f"{new} {old}")
    await sent.send(EVENT)
    ((_, headers, body),) = sent.receiver.requests
    assert [problem_of(headers, body, secret) for secret in (old, new)] == ["", ""]
    assert problem_of(headers, body, new_secret()) == "no signature is right"


async def test_in_a_local_run_no_real_receiver_is_called() -> None:
    sent = Sent(204, local="http://127.0.0.1:1234")
    await sent.send(EVENT)
    assert sent.receiver.requests[0][0] == "http://127.0.0.1:1234/shop"


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (500, 5),
        (400, 5),
        (301, 5),  # it is not followed
        (ConnectError("shop.example.com: refused"), 5),
        ((429, {"retry-after": "120"}), 120),
        ((503, {"retry-after": "999999"}), queues.WEBHOOK_LONGEST_WANTED_PAUSE),
    ],
)
async def test_what_is_not_received_comes_again_later(answer: Any, least: int, capfd: pytest.CaptureFixture[str]) -> None:
    sent = Sent(answer, 204)
    assert await sent.send(EVENT) == ["0"]
    ((url, receipt, seconds),) = sent.sqs.hidden
    assert (url, receipt) == (QUEUE, "receipt 0") and least <= seconds <= max(least, 6)
    sent.sqs.hidden.clear()
    assert await sent.send(EVENT) == []
    first, second = (headers for _, headers, _ in sent.receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["level"], line["request_id"]) == ("WARN", "0") and line["message"].startswith("webhook shop: ")


async def test_a_message_of_a_batch_that_fails_does_not_hold_up_the_others() -> None:
    sent = Sent(500, 204)
    assert len(await sent.send(EVENT, EVENT)) == 1


async def test_a_receiver_that_is_gone_is_asked_no_more_for_this_event(capfd: pytest.CaptureFixture[str]) -> None:
    sent = Sent(410)
    assert await sent.send(EVENT) == [] and sent.sqs.hidden == []
    assert "is gone (410)" in capfd.readouterr().out


@pytest.mark.parametrize("status", [401, 403])
async def test_a_receiver_that_refuses_the_signature_may_know_a_newer_secret(status: int) -> None:
    sent = Sent(status)
    assert await sent.send(EVENT) == ["0"] and sent.secrets.forgotten == [WEBHOOK.secret_arn]


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2hunter2hunter2hunter2hunter2",
        "whsec_hunter2",
        f"whsec_{base64.b64encode(b'hunter2').decode()}",
        f"whsec_{base64.b64encode(b'hunter2' * 10).decode()}",
        errors.upstream_misconfigured(detail="AccessDeniedException"),
    ],
)
async def test_without_a_right_secret_nothing_is_sent_and_the_log_does_not_have_it(
    secret: str | Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = Sent(secret=secret)
    assert await sent.send(EVENT) == ["0"] and sent.receiver.requests == []
    text = capfd.readouterr().out
    assert "secret" in text and "hunter2" not in text and "aHVudGVyMg" not in text


async def test_what_is_told_of_a_batch_is_what_openai_s_client_unwraps() -> None:
    sent, id = Sent(204), f"batch_{'2' * 32}"
    detail = {**EVENT["detail"], "job": id, "status": "completed"}
    assert await sent.send({**EVENT, "detail-type": "batch.completed", "detail": detail}) == []
    ((_, headers, body),) = sent.receiver.requests
    event = openai.OpenAI(api_key="unused").webhooks.unwrap(body, headers, secret=SECRET)
    assert event.type == "batch.completed" and event.object == "event" and event.data.id == id
    assert (event.id, event.created_at) == (headers["webhook-id"], 1_796_065_364)
    assert json.loads(body)["data"] == {"id": id, **{name: detail[name] for name in detail if name != "job"}}


async def test_a_job_with_the_id_of_one_that_has_expired_is_another_one() -> None:
    sent = Sent(204, 204)
    later = {**EVENT["detail"], "created": "2026-12-08T19:01:00.123Z"}
    await sent.send(EVENT, {**EVENT, "detail": later})
    assert len({headers["webhook-id"] for _, headers, _ in sent.receiver.requests}) == 2


async def test_an_event_of_before_the_time_of_creation_was_told_is_sent_as_it_is() -> None:
    sent = Sent(204)
    detail = {name: value for name, value in EVENT["detail"].items() if name != "created"}
    assert await sent.send({**EVENT, "detail": detail}) == []
    ((_, headers, body),) = sent.receiver.requests
    assert (headers["webhook-id"], json.loads(body)["data"]) == (f"job_{'1' * 32}-3", detail)


async def test_nothing_is_sent_but_what_an_event_of_this_package_has() -> None:
    sent = Sent(204)
    await sent.send({**EVENT, "detail": {**EVENT["detail"], "more": "x"}, "account": "123456789012"})
    assert json.loads(sent.receiver.requests[0][2])["data"] == EVENT["detail"]


NO_EVENTS: dict[str, Any] = {
    "no JSON": "{",
    "no object": "[]",
    "an empty one": "{}",
    "no version": {**EVENT, "detail": {name: EVENT["detail"][name] for name in EVENT["detail"] if name != "version"}},
    "another type": {**EVENT, "detail-type": "payment.succeeded"},
    "another status": {**EVENT, "detail-type": "job.failed"},
    "a batch's type": {**EVENT, "detail-type": "batch.failed", "detail": {**EVENT["detail"], "status": "failed"}},
    "another time": {**EVENT, "time": "soon"},
    **{
        f"{name}: {value!r}"[:40]: {**EVENT, "detail": {**EVENT["detail"], name: value}}
        for name, value in (
            ("job", "job_1"),
            ("job", f"job_{'1' * 32}\n"),
            ("version", "3 "),
            ("version", "9" * 11),
            ("created", "now"),
            ("tenant", "x" * 257),
            ("alias", {"any": "thing"}),
        )
    },
}


@pytest.mark.parametrize("body", NO_EVENTS.values(), ids=NO_EVENTS)
async def test_what_is_no_event_of_this_package_is_not_signed_and_becomes_a_dead_letter(body: Any) -> None:
    sent = Sent()
    assert await sent.send(body) == ["0"] and sent.receiver.requests == []


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_an_event_is_tried_for_two_days_by_its_age_and_not_by_what_lambda_received_in_vain(
    chance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: chance)
    ages = [0.0]
    while len(ages) <= queues.MOST_RECEIVES:
        ages.append(ages[-1] + pause(ages[-1], None))
    days, tries = round(ages[-1] / 86_400), queues.MOST_RECEIVES
    assert ages[-1] >= queues.WEBHOOK_TRIED_SECONDS and days == 2
    assert ages == sorted(ages) and ages[4] < 600, "a receiver that is away for a moment is told soon"
    text = (ROOT / "docs/jobs.md").read_text()
    assert f"{tries} times in all, over some two days" in text
    # Where Lambda has no execution for the function, the events are kept as long.
    assert tries * queues.WEBHOOK_HIDDEN_SECONDS >= queues.WEBHOOK_TRIED_SECONDS
    # Whatever a receiver wants, its queue has the event at the last try.
    assert tries * pause(ages[-1], 1e9) + tries * 2 * queues.WEBHOOK_FUNCTION_SECONDS < queues.WEBHOOK_KEPT_SECONDS
    assert pause(ages[-1], 1e9) <= 12 * 3_600, "SQS hides a message no longer"


def test_the_function_has_time_for_what_a_message_may_take() -> None:
    assert queues.WEBHOOK_MESSAGE_SECONDS + 2 * webhook_sender.CALL_SECONDS < queues.WEBHOOK_FUNCTION_SECONDS
