"""Notifications of jobs: the way of an event from the bus to the function that sends it, who may do what, what is refused."""

import json
from typing import Any

import pulumi
import pytest

import pulumi_llm
from components.test_async_inference import JOBS, arn, made, statements
from support import programs
from support.programs import MODELS

ACCOUNT = "arn:aws:secretsmanager:us-east-1:123456789012:secret"
SHOP = {"url": "https://shop.example.com/hooks", "secret_arn": f"{ACCOUNT}:shop-AbCdEf"}
BANK = {"url": "https://bank.example.com/", "secret_arn": f"{ACCOUNT}:bank-AbCdEf"}
ENDED = [
    *(f"job.{each}" for each in ("succeeded", "failed", "cancelled")),
    *(f"batch.{each}" for each in ("completed", "failed", "expired", "cancelled")),
]
NOTIFICATIONS: dict[str, Any] = {
    "shop": {"tenants": ["shop", "shop 2"], "webhook": SHOP},
    "bank": {"events": ["job.failed"], "webhook": BANK},
}


def test_each_notification_has_a_rule_and_a_queue_to_which_only_it_sends() -> None:
    recording = made(notifications=NOTIFICATIONS)
    wanted = {
        "shop": {"source": ["pulumi-llm.jobs"], "detail-type": ENDED, "detail": {"tenant": ["shop", "shop 2"]}},
        "bank": {"source": ["pulumi-llm.jobs"], "detail-type": ["job.failed"]},
    }
    for name, pattern in wanted.items():
        rule, target = recording.inputs(f"jobs-notify-rule-{name}"), recording.inputs(f"jobs-notify-target-{name}")
        assert json.loads(rule["eventPattern"]) == pattern
        assert rule["eventBusName"] == target["eventBusName"] == recording.named("jobs-bus").state["name"]
        queue = arn(recording, f"jobs-webhook-queue-{name}")
        assert (target["arn"], target["deadLetterConfig"]) == (queue, {"arn": arn(recording, "jobs-undelivered")})
        sends = statements(recording, f"jobs-webhook-queue-policy-{name}")["RulesSend"]
        assert (sends["Action"], sends["Resource"]) == ("sqs:SendMessage", queue)
        assert sends["Condition"] == {"ArnEquals": {"aws:SourceArn": arn(recording, f"jobs-notify-rule-{name}")}}
    # What reaches none of these queues is kept, too.
    sends = statements(recording, "jobs-undelivered-policy")["RulesSend"]
    rules = [arn(recording, f"jobs-{key}") for key in ("rule", "notify-rule-shop", "notify-rule-bank")]
    assert sends["Condition"] == {"ArnEquals": {"aws:SourceArn": rules}}
    assert statements(recording, "jobs-queue-policy")["RulesSend"]["Condition"]["ArnEquals"]["aws:SourceArn"] == rules[0]
    # The first event finds them.
    pipe = recording.named("jobs-pipe")
    assert {recording.named(f"jobs-notify-target-{name}").urn for name in NOTIFICATIONS} <= set(pipe.dependencies)


def test_one_function_sends_for_all_and_may_read_their_secrets_and_queues_alone() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    recording = made(notifications={**NOTIFICATIONS, "bank": {"webhook": {**BANK, "kms_key_arn": key}}})
    function = recording.inputs("jobs-webhooks-function")
    assert function["handler"] == "llm_functions.webhooks.handler" and "vpcConfig" not in function
    queues = {name: recording.named(f"jobs-webhook-queue-{name}") for name in NOTIFICATIONS}
    assert json.loads(function["environment"]["variables"]["WEBHOOKS"]) == [
        {"name": "shop", **SHOP, "queue_url": queues["shop"].state["url"]},
        {"name": "bank", **BANK, "queue_url": queues["bank"].state["url"]},
    ]
    found = statements(recording, "jobs-webhooks-policy")
    assert found["TakeMessages"]["Resource"] == [each.state["arn"] for each in queues.values()]
    assert found["ReadSecrets"]["Resource"] == [SHOP["secret_arn"], BANK["secret_arn"]]
    assert found["DecryptSecrets"]["Resource"] == [key] and set(found) == {"TakeMessages", "ReadSecrets", "DecryptSecrets"}
    dead_letters = arn(recording, "jobs-webhook-dead-letters")
    for name, queue in queues.items():
        mapping = recording.inputs(f"jobs-webhook-mapping-{name}")
        assert mapping["functionName"] == arn(recording, "jobs-webhooks-alias")
        assert mapping["eventSourceArn"] == queue.state["arn"]
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
        # Lambda refuses a queue that shows messages again before the function's timeout. While it has no execution for the
        # function, it receives a message once in that time: the message must not become a dead letter that nobody was sent.
        assert queue.inputs["visibilityTimeoutSeconds"] >= 6 * function["timeout"]
        assert queue.inputs["visibilityTimeoutSeconds"] * 20 >= 2 * 86_400
        redrive = json.loads(queue.inputs["redrivePolicy"])
        assert redrive == {"deadLetterTargetArn": dead_letters, "maxReceiveCount": 20}
    allowed = json.loads(recording.inputs("jobs-webhook-dead-letters-redrive")["redriveAllowPolicy"])
    assert allowed["sourceQueueArns"] == [each.state["arn"] for each in queues.values()]
    assert recording.named("jobs").outputs["webhook_dead_letter_queue_arn"] == dead_letters


def test_without_notifications_there_is_nothing_of_them() -> None:
    recording = made()
    assert not [name for name in recording.names() if "webhook" in name or "notify" in name]
    assert recording.named("jobs").outputs["webhook_dead_letter_queue_arn"] == ""


def test_the_variables_of_as_many_as_there_may_be_fit_into_a_function_s_environment() -> None:
    names = [f"a-name-of-20-signs-{number}" for number in range(5)]
    longest = {"url": f"https://shop.example.com/{'x' * 231}", "secret_arn": f"{ACCOUNT}:{'x' * 120}-AbCdEf"}
    recording = made(notifications={name: {"webhook": longest} for name in names})
    variables = recording.inputs("jobs-webhooks-function")["environment"]["variables"]
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    assert sum(len(name) + len(value) for name, value in variables.items()) < 4_096 - 512


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no receiver": ({"shop": {}}, "notifications.shop.webhook: is required"),
    "another event": (
        {"shop": {"events": ["job.done"], "webhook": SHOP}},
        "events[0]: must be 'job.accepted', ",
    ),
    "an event twice": (
        {"shop": {"events": ["job.failed", "job.failed"], "webhook": SHOP}},
        "notifications.shop.events: must name each event once",
    ),
    "plain HTTP": (
        {"shop": {"webhook": {**SHOP, "url": "http://shop.example.com/"}}},
        "webhook.url: must be a URL",
    ),
    "a user": (
        {"shop": {"webhook": {**SHOP, "url": "https://me:secret@shop.example.com/"}}},
        "webhook.url: must be a URL",
    ),
    "this machine": ({"shop": {"webhook": {**SHOP, "url": "https://localhost/"}}}, "webhook.url: must be a URL"),
    "a secret itself": (
        {"shop": {"webhook": {**SHOP, "secret_arn": "whsec_secret"}}},
        "secret_arn: must be the ARN of",
    ),
    "a secret of elsewhere": (
        {"shop": {"webhook": {**SHOP, "secret_arn": SHOP["secret_arn"].replace("us-east-1", "eu-west-1")}}},
        "webhook.secret_arn: ",
    ),
    "more tenants than a pattern takes": (
        {"shop": {"tenants": [f"{number:02}-{'n' * 90}" for number in range(20)], "webhook": SHOP}},
        "notifications.shop.tenants: make an event pattern of 2,",
    ),
    "a long name": ({"a-name-of-21-characters": {"webhook": SHOP}}, "notifications"),
    "too many": ({f"n{number}": {"webhook": SHOP} for number in range(6)}, "notifications: "),
}


@pytest.mark.parametrize(("notifications", "problem"), WRONG.values(), ids=WRONG)
def test_what_could_not_work_is_refused_and_no_secret_is_shown(notifications: dict[str, Any], problem: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        made(notifications=notifications)
    told = [f"{each['property_path']}: {each['reason']}" for each in error.value.errors or []]
    assert len(told) == 1 and problem in told[0], told
    assert "secret@" not in told[0] and "whsec_secret" not in told[0]


@pytest.mark.parametrize(
    ("longest", "end", "arguments"),
    [
        (32, "-archive", {"event_archive_days": 1}),
        (23, f"-notify-rule-{'n' * 20}", {"notifications": {name: {"webhook": SHOP} for name in ("n", "n" * 20)}}),
    ],
    ids=["archive", "rule"],
)
def test_a_component_s_name_leaves_room_for_those_of_its_parts(longest: int, end: str, arguments: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html and …/API_PutRule.html"""

    def named(length: int) -> None:
        args: Any = {"models": MODELS, "jobs": JOBS, **arguments}
        programs.run(lambda: pulumi_llm.AsyncInference("x" * length, args))

    named(longest)
    with pytest.raises(pulumi.InputPropertiesError, match=f"at most {longest} leave room for '{end}'"):
        named(longest + 1)
