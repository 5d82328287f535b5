"""Rules on what always fails, and on what cannot be delivered: where it goes, and how often it is tried before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from llm_policies.rule import AWS_DOCS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, came_from, companions, each_resource, given, of_type, same
from llm_policies.values import NotVerified, State, Value, some

# Queues

_QUEUE: Final = "aws:sqs/queue:Queue"
_SOURCE: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
_PIPE: Final = "aws:pipes/pipe:Pipe"
_REDRIVE: Final = "aws:sqs/redrivePolicy:RedrivePolicy"


def _dead_letters(resources: Sequence[Resource], settings: Settings) -> Found:
    consumers = [(one, "eventSourceArn") for one in of_type(resources, _SOURCE)]
    consumers += [(one, "source") for one in of_type(resources, _PIPE)]

    def read(queue: Resource) -> bool:
        return any(_reads(consumer, key, queue) for consumer, key in consumers)

    def check(queue: Resource) -> Iterator[str]:
        if not read(queue):
            return
        policies, unverified = companions(queue, resources, (_REDRIVE,), "queueUrl", ("url", "id"))
        policy = policies[0]["redrivePolicy"] if policies else given(queue, "redrivePolicy")
        if policy.missing and unverified:
            raise NotVerified(unverified)
        if policy.missing or not policy.text():
            yield "redrivePolicy is missing: a message that always fails is tried, and paid for, until it is too old"
            return
        tries = _tries(policy)
        if tries > settings["maximum_tries"]:
            yield f"redrivePolicy: a message is tried {tries:g} times, each paid for; at most {settings['maximum_tries']}"

    yield from each_resource(of_type(resources, _QUEUE), check)


def _reads(consumer: Resource, key: str, queue: Resource) -> bool:
    """Whether a consumer's source is the queue, by what it came from, its ARN, or the name in an ARN."""
    sources = [source for source in consumer.dependencies.get(key, ()) if source.type == _QUEUE]
    if sources:
        return any(same(source, queue) for source in sources)
    arn, name = consumer[key].data, queue["name"].data
    if not isinstance(arn, str) or not arn.startswith("arn:"):
        return False
    return arn == queue["arn"].data or (isinstance(name, str) and ":sqs:" in arn and arn.endswith(f":{name}"))


def _tries(policy: Value) -> float:
    try:
        told: Any = json.loads(policy.text())
    except ValueError:
        return 0
    count = cast("dict[str, Any]", told).get("maxReceiveCount") if isinstance(told, dict) else None
    return float(count) if isinstance(count, (int, float)) or (isinstance(count, str) and count.isdigit()) else 0


# Events

_FUNCTION: Final = "aws:lambda/function:Function"
_ALIAS: Final = "aws:lambda/alias:Alias"
_INVOKE: Final = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
_PERMISSION: Final = "aws:lambda/permission:Permission"
_TARGET: Final = "aws:cloudwatch/eventTarget:EventTarget"
_SCHEDULE: Final = "aws:scheduler/schedule:Schedule"
_SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
_LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"

# Who invokes a function without waiting for its answer. https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
_ASYNCHRONOUS: Final = tuple(
    f"{service}.amazonaws.com" for service in ("events", "iot", "logs", "s3", "scheduler", "ses", "sns")
)
# What delivers events: the property that names the queue for those that are not delivered.
_DELIVERIES: Final[Mapping[str, str]] = {
    _SCHEDULE: "target.deadLetterConfig.arn",
    _SUBSCRIPTION: "redrivePolicy",
    _TARGET: "deadLetterConfig.arn",
}
# A topic tries a server three times, a queue or a function for 23 days; mails and messages are for people.
# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
_TO_SERVERS: Final = ("http", "https")
# What may invoke a function asynchronously: the property that names it, and the path of its name or ARN.
_INVOKERS: Final[Mapping[str, tuple[str, str]]] = {
    _PERMISSION: ("function", "function"),
    _SCHEDULE: ("target", "target.arn"),
    _SUBSCRIPTION: ("endpoint", "endpoint"),
    _TARGET: ("arn", "arn"),
}


def _events_kept(resources: Sequence[Resource], _: Settings) -> Found:
    def check(resource: Resource) -> Iterator[str]:
        if resource.type == _FUNCTION:
            yield from _function(resource, resources)
        elif resource.type == _SOURCE:
            yield from _stream(resource)
        elif _may_be_lost(resource) and not _is_given(resource.at(path := _DELIVERIES[resource.type])):
            yield f"{path} is missing: an event that cannot be delivered is lost; name a queue for it"

    yield from each_resource(of_type(resources, _FUNCTION, _SOURCE, *_DELIVERIES), check)


def _is_given(place: Value) -> bool:
    """Whether a queue is named. One that is not known yet is: AWS takes no empty ARN."""
    return place.state is State.UNKNOWN or bool(place.text())


def _may_be_lost(delivery: Resource) -> bool:
    """Whether a delivery may fail soon, and something is done with what it delivers that is not only written to a log."""
    if delivery.type == _SUBSCRIPTION:
        return delivery["protocol"].equals(*_TO_SERVERS)
    to_log = delivery.type == _TARGET and (came_from(delivery, "arn", _LOG_GROUP) or ":logs:" in delivery["arn"].known_text)
    return not to_log


def _function(function: Resource, resources: Sequence[Resource]) -> Iterator[str]:
    """Check a function that is invoked asynchronously, but for one that is given the failures of others."""
    settings = of_type(resources, _INVOKE)
    own = [one for one in settings if _names(one, "functionName", "functionName", function)]
    if _is_given(function.at("deadLetterConfig.targetArn")):
        return
    if own and all(_is_given(one.at("destinationConfig.onFailure.destination")) for one in own):
        return
    if any(_names(one, "destinationConfig", "destinationConfig.onFailure.destination", function) for one in settings):
        return
    if own or some(of_type(resources, *_INVOKERS), lambda one: _invokes(one, function)):
        yield (
            "deadLetterConfig is missing: an event on which the function fails three times is lost; name a queue, or a "
            "destinationConfig.onFailure in a FunctionEventInvokeConfig"
        )


def _invokes(invoker: Resource, function: Resource) -> bool:
    if invoker.type == _PERMISSION and not invoker["principal"].equals(*_ASYNCHRONOUS):
        return False
    return _names(invoker, *_INVOKERS[invoker.type], function)


def _names(resource: Resource, name: str, path: str, function: Resource) -> bool:
    """Whether what is at a path names a function, or an alias of it. `name` is the property that the path is in."""
    aliases = came_from(resource, name, _ALIAS)
    if any(_names(alias, "functionName", "functionName", function) for alias in aliases):
        return True
    functions = came_from(resource, name, _FUNCTION)
    if functions or aliases:
        return any(same(one, function) for one in functions)
    place = resource.at(path)
    if place.state is State.UNKNOWN and resource.dependencies.get(name):
        return False  # it came from something else
    # The name, alone or in an ARN, and perhaps with an alias.
    named = place.text().rpartition(":function:")[2].partition(":")[0]
    return bool(named) and named in (function["name"].known_text, function["id"].known_text)


def _stream(source: Resource) -> Iterator[str]:
    """Check what reads from a stream. Of a queue, the queue's own settings say it."""
    if not any(f":{service}:" in source["eventSourceArn"].text() for service in ("dynamodb", "kinesis")):
        return
    if not _is_given(source.at("destinationConfig.onFailure.destinationArn")):
        yield "destinationConfig.onFailure is missing: a record on which the function always fails is lost; name a queue"
    if all(source[name].number(-1) < 0 for name in ("maximumRetryAttempts", "maximumRecordAgeInSeconds")):
        yield (
            "maximumRetryAttempts is missing: a record on which the function always fails is tried, and paid for, until it is "
            "too old, before all that waits behind it"
        )


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="queue-dead-letters",
        title="A queue that is worked off has a queue for what always fails.",
        severity="medium",
        why="A message that always fails is tried for four days: model calls included, and before it all that waits behind.",
        fix="`redrive_policy` with `deadLetterTargetArn` and a `maxReceiveCount` of some five.",
        check_stack=_dead_letters,
        types=(_QUEUE, _SOURCE, _PIPE, _REDRIVE),
        settings={
            "maximum_tries": Setting(
                20, {"type": "integer", "minimum": 1, "maximum": 1000}, "How often a message may be tried."
            ),
        },
        url=f"{AWS_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html",
    ),
    Rule(
        name="event-dead-letters",
        title="An event that is not delivered, or on which a function always fails, is kept.",
        severity="medium",
        why="Nobody waits for the answer to an event: where nothing keeps one that fails, a job is lost unnoticed.",
        fix="A queue: `dead_letter_config` of a function, an `EventTarget` or a schedule's target, `redrive_policy` of a "
        "subscription by HTTPS, `destination_config` of a `FunctionEventInvokeConfig` or a stream's `EventSourceMapping`.",
        check_stack=_events_kept,
        types=(_FUNCTION, _ALIAS, _INVOKE, _PERMISSION, _LOG_GROUP, _SOURCE, *_DELIVERIES),
        url=f"{AWS_DOCS}/lambda/latest/dg/invocation-async-retain-records.html",
    ),
)
