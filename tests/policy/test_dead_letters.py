"""The rules on what always fails: of queues, and of events for which nobody waits."""

import json
from typing import Any

from llm_policies import dead_letters
from llm_policies.rule import Resource
from llm_policies.testing import UNKNOWN, resource
from support.policies import counted_cases

QUEUE = "aws:sqs/queue:Queue"
SOURCE = "aws:lambda/eventSourceMapping:EventSourceMapping"
REDRIVE = "aws:sqs/redrivePolicy:RedrivePolicy"
FUNCTION, ALIAS = "aws:lambda/function:Function", "aws:lambda/alias:Alias"
INVOKE = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
PERMISSION = "aws:lambda/permission:Permission"
TARGET, SCHEDULE = "aws:cloudwatch/eventTarget:EventTarget", "aws:scheduler/schedule:Schedule"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
GROUP = "aws:cloudwatch/logGroup:LogGroup"

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:jobs"
DEAD = f"{QUEUE_ARN}-dead"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:chat"
STREAM_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/chat"
TO_DEAD = {"onFailure": {"destination": DEAD}}


def jobs(policy: Any = None, *, arn: Any = QUEUE_ARN, **more: Any) -> list[Resource]:
    queue = resource(QUEUE, {"name": "jobs", "redrivePolicy": policy, **more})
    return [queue, resource(SOURCE, {"eventSourceArn": arn}, name="worker")]


def tries(count: Any) -> str:
    return json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": count})


def function(name: Any = "chat", **more: Any) -> Resource:
    return resource(FUNCTION, {"name": name, **more}, name=f"function-{name}")


def let(principal: Any = "events", called: str = "chat", **more: Any) -> Resource:
    given = principal if principal is UNKNOWN else f"{principal}.amazonaws.com"
    return resource(PERMISSION, {"principal": given, "function": called, **more}, name="let")


def events(*, of: str = "chat", to: Any = None) -> Resource:
    return resource(INVOKE, {"functionName": of, "destinationConfig": to, "maximumRetryAttempts": 0}, name=f"events-{of}")


def stream(**more: Any) -> list[Resource]:
    return [resource(SOURCE, {"eventSourceArn": STREAM_ARN, **more})]


def delivery(kind: str, **properties: Any) -> list[Resource]:
    return [resource(kind, properties)]


NEW = function(UNKNOWN, arn=UNKNOWN, id=UNKNOWN)
LIVE = resource(ALIAS, {"functionName": UNKNOWN}, name="live", dependencies={"functionName": [NEW]})
BY_ALIAS = resource(
    PERMISSION, {"principal": "sns.amazonaws.com", "function": UNKNOWN}, name="let", dependencies={"function": [LIVE]}
)
OTHER = resource(FUNCTION, {"name": UNKNOWN, "deadLetterConfig": {"targetArn": UNKNOWN}}, name="other")
TO_OTHER = resource(
    TARGET, {"arn": UNKNOWN, "deadLetterConfig": {"arn": UNKNOWN}}, name="target", dependencies={"arn": [OTHER]}
)
RECOVERY = resource(
    INVOKE, {"functionName": UNKNOWN, "maximumRetryAttempts": 0}, name="recovery", dependencies={"functionName": [NEW]}
)
GIVES_TO_IT = resource(
    INVOKE,
    {"functionName": "chat", "destinationConfig": {"onFailure": {"destination": UNKNOWN}}},
    name="gives",
    dependencies={"destinationConfig": [LIVE]},
)
ON_LOGS = resource(TARGET, {"arn": UNKNOWN}, dependencies={"arn": [resource(GROUP, {"arn": UNKNOWN}, name="group")]})

CASES: dict[str, list[tuple[Any, ...]]] = {
    "queue-dead-letters": [
        ("five times", jobs(tries(5)), "good", 0),
        ("as text", jobs(tries("5"), name=UNKNOWN, arn="arn:aws:sqs:us-east-1:123456789012:others"), "good", 0),
        ("a queue that nothing reads", [resource(QUEUE, {"name": "jobs-dead"})], "good", 0),
        (
            "a policy of its own",
            [*jobs(url="https://q"), resource(REDRIVE, {"queueUrl": "https://q", "redrivePolicy": tries(3)}, name="redrive")],
            "good",
            0,
        ),
        ("a hundred times, which is allowed", jobs(tries(100)), "good", 0, {"maximum_tries": 100}),
        ("nothing", jobs(), "bad", 1),
        ("a thousand times", jobs(tries(1000)), "bad", 1),
        ("a queue by its ARN", [resource(QUEUE, {"arn": QUEUE_ARN}), *jobs(tries(5))[1:]], "bad", 1),
        (
            "a policy of some queue",
            [*jobs(url=UNKNOWN), resource(REDRIVE, {"queueUrl": UNKNOWN, "redrivePolicy": tries(3)}, name="redrive")],
            "unknown",
            0,
        ),
    ],
    "event-dead-letters": [
        ("a rule's queue", delivery(TARGET, arn=FUNCTION_ARN, deadLetterConfig={"arn": DEAD}), "good", 0),
        ("a rule's queue that is not made yet", [OTHER, TO_OTHER], "good", 0),
        ("a rule that writes to a log", [*delivery(TARGET, arn="arn:aws:logs:us-east-1:123456789012:log-group:x")], "good", 0),
        ("a rule that writes to a new log", [ON_LOGS], "good", 0),
        ("a schedule's queue", delivery(SCHEDULE, target={"arn": FUNCTION_ARN, "deadLetterConfig": {"arn": DEAD}}), "good", 0),
        ("a subscription's queue", delivery(SUBSCRIPTION, protocol="https", redrivePolicy=tries(1)), "good", 0),
        ("a subscription of a queue, which is tried for weeks", delivery(SUBSCRIPTION, protocol="sqs"), "good", 0),
        ("a mail", delivery(SUBSCRIPTION, protocol="email", endpoint="ops@example.com"), "good", 0),
        ("a rule without one", delivery(TARGET, arn=FUNCTION_ARN), "bad", 1),
        ("a schedule without one", delivery(SCHEDULE, target={"arn": FUNCTION_ARN}), "bad", 1),
        ("a subscription without one", delivery(SUBSCRIPTION, protocol="https", endpoint="https://example.com"), "bad", 1),
        ("a protocol that is not known", delivery(SUBSCRIPTION, protocol=UNKNOWN), "unknown", 0),
        ("a function that answers", [function(), let("apigateway")], "good", 0),
        ("a function's queue", [function(deadLetterConfig={"targetArn": DEAD}), let()], "good", 0),
        ("a function's destination", [function(), let(), events(to=TO_DEAD)], "good", 0),
        ("a destination by the ARN", [function(), let(), events(of=FUNCTION_ARN, to=TO_DEAD)], "good", 0),
        ("events of another function", [function(), let(called="other")], "good", 0),
        ("one that is given failures", [NEW, LIVE, RECOVERY, GIVES_TO_IT], "good", 0),
        ("events", [function(), let()], "bad", 1),
        ("files, by an alias's ARN", [function(), let("s3", f"{FUNCTION_ARN}:live")], "bad", 1),
        ("a topic, by a new alias", [NEW, LIVE, BY_ALIAS], "bad", 1),
        ("settings without a destination", [function(), events()], "bad", 1),
        ("another's destination", [function(), let(), function("other"), events(of="other", to=TO_DEAD)], "bad", 1),
        ("only where it succeeds", [function(), events(to={"onSuccess": {"destination": DEAD}})], "bad", 1),
        ("a schedule that calls it", [function(), *delivery(SCHEDULE, target={"arn": FUNCTION_ARN})], "bad", 2),
        ("who calls it is not known", [function(), let(UNKNOWN)], "unknown", 0),
        (
            "a stream",
            stream(destinationConfig={"onFailure": {"destinationArn": DEAD}}, maximumRetryAttempts=0),
            "good",
            0,
        ),
        (
            "a stream's records for an hour",
            stream(destinationConfig={"onFailure": {"destinationArn": UNKNOWN}}, maximumRecordAgeInSeconds=3600),
            "good",
            0,
        ),
        ("a stream without both", stream(), "bad", 2),
        ("a stream that tries without end", stream(maximumRetryAttempts=-1, maximumRecordAgeInSeconds=-1), "bad", 2),
        ("a stream that loses", stream(maximumRetryAttempts=3), "bad", 1),
        ("a source that is not known", stream(eventSourceArn=UNKNOWN), "unknown", 0),
    ],
}

test_case, test_every_rule_has_all_kinds_of_case = counted_cases(dead_letters.RULES, CASES)
