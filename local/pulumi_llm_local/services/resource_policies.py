"""Whether a queue or a function lets EventBridge reach it, by its own policy.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

from pulumi_llm_local.aws_types.lambda_ import PERMISSION
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.moto import QUEUE

QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
EVENTS = "events.amazonaws.com"


def queue_allows(graph: Graph, url: str, rule_arn: str) -> bool:
    """Tell whether the queue at a URL takes messages that EventBridge sends for a rule."""
    queues = [each.state for each in graph.of_type(QUEUE) if each.state["url"] == url]
    arn = str(queues[0].get("arn") or "") if queues else ""
    documents = [queue.get("policy") for queue in queues]
    documents += [each.state["policy"] for each in graph.of_type(QUEUE_POLICY) if each.state["queueUrl"] == url]
    statements = [statement for document in documents if document for statement in statements_of(document)]
    effects = {statement["Effect"] for statement in statements if _fits(statement, "sqs:SendMessage", arn, rule_arn)}
    return "Allow" in effects and "Deny" not in effects


def function_allows(graph: Graph, name: str, qualifier: str | None, source_arn: str, *, principal: str = EVENTS) -> bool:
    """Tell whether a function, by its name, lets a service, EventBridge by default, invoke it for a source, such as a rule."""
    return any(
        str(each.state["function"]).split(":")[-1] == name
        and (each.state.get("qualifier") or None) == qualifier
        and each.state["action"] in ("lambda:InvokeFunction", "lambda:*")
        and each.state["principal"] == principal
        and fnmatchcase(source_arn, each.state.get("sourceArn") or "*")
        for each in graph.of_type(PERMISSION)
    )


def statements_of(document: Any) -> list[Mapping[str, Any]]:
    """The statements of a policy, which is a text or an object."""
    policy: Any = json.loads(document) if isinstance(document, str) else document
    return list(each_of(policy["Statement"]))


def _fits(statement: Mapping[str, Any], action: str, resource: str, rule_arn: str) -> bool:
    """Tell whether a statement is about what EventBridge asks for a rule."""
    principal: Any = statement.get("Principal")
    services = (
        list(each_of(cast("dict[str, Any]", principal).get("Service", []))) if isinstance(principal, dict) else [principal]
    )
    return (
        (EVENTS in services or "*" in services or principal == {"AWS": "*"})
        and any(fnmatchcase(resource, str(each)) for each in each_of(statement.get("Resource", [])))
        and any(fnmatchcase(action.lower(), str(each).lower()) for each in each_of(statement.get("Action", [])))
        and is_met(statement.get("Condition") or {}, rule_arn)
    )


def is_met(condition: Mapping[str, Mapping[str, Any]], source_arn: str) -> bool:
    """Tell whether the request of a service for a resource of its own meets a condition; one that it says nothing of is not."""
    known = {"aws:sourcearn": source_arn, "aws:sourceaccount": source_arn.split(":")[4], "aws:securetransport": "true"}
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            value = known.get(key.lower(), "")
            equal = operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike", "Bool")
            if not equal or not any(fnmatchcase(value, str(each)) for each in each_of(wanted)):
                return False
    return True


def each_of(value: Any) -> Iterator[Any]:
    """In a policy one value stands for a list of one."""
    if isinstance(value, list):
        yield from cast("list[Any]", value)
    else:
        yield value
