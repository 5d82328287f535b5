"""Each rule about spend, by a table of stacks: what it passes, what it finds, and what it cannot tell."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_policies.rule import Resource
from llm_policies.spend import RULES
from llm_policies.testing import UNKNOWN, problems, resource
from support.policies import BY_NAME, counted_cases

TYPES = {
    "instance": "aws:ec2/instance:Instance",
    "template": "aws:ec2/launchTemplate:LaunchTemplate",
    "fleet": "aws:ec2/fleet:Fleet",
    "reservation": "aws:ec2/capacityReservation:CapacityReservation",
    "nodes": "aws:eks/nodeGroup:NodeGroup",
    "group": "aws:autoscaling/group:Group",
    "batch": "aws:batch/computeEnvironment:ComputeEnvironment",
    "endpoint": "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "throughput": "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
    "policy": "aws:iam/rolePolicy:RolePolicy",
    "budget": "aws:budgets/budget:Budget",
    "anomalies": "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "stack": "pulumi:pulumi:Stack",
}


def a(kind: str, *, name: str = "", come: Mapping[str, Sequence[Resource]] | None = None, **properties: Any) -> Resource:
    return resource(TYPES[kind], properties, name=name or kind, dependencies=come)


def nodes(most: Any, *types: Any, **more: Any) -> Resource:
    return a("nodes", scalingConfig={"maxSize": most}, instanceTypes=list(types), **more)


def mixed(*overrides: Any, most: int = 1) -> Resource:
    return a("group", maxSize=most, mixedInstancesPolicy={"launchTemplate": {"overrides": list(overrides)}})


def variants(*kinds: Any, count: int = 1) -> Resource:
    return a("endpoint", productionVariants=[{"instanceType": kind, "initialInstanceCount": count} for kind in kinds])


def asks(**more: Any) -> Resource:
    return a("template", instanceRequirements={"acceleratorCount": {"min": 1}, **more})


CALL = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "arn:aws:bedrock:us-east-1::foundation-model/m"}
CALLS = a("policy", role="chat", policy=json.dumps({"Version": "2012-10-17", "Statement": [CALL]}))
TELLS = a("budget", notifications=[{"subscriberEmailAddresses": ["ops@example.com"]}])
NEW_TEMPLATE = a("template", id=UNKNOWN, instanceType="g5.12xlarge")

# the case, the stack, "good" | "bad" | "unknown", how many problems, settings
Case = tuple[str, Sequence[Resource], str, int, Mapping[str, Any]]


def money(name: str = "", **changes: Any) -> Resource:
    """A budget that counts money and tells someone; what a notification has goes there."""
    told = {"comparisonOperator": "GREATER_THAN", "threshold": 80, "thresholdType": "PERCENTAGE", "notificationType": "ACTUAL"}
    told |= {key: changes.pop(key) for key in list(changes) if key in told}
    notification = {**told, "subscriberEmailAddresses": ["a@example.com"]}
    held: dict[str, Any] = {"budgetType": "COST", "limitAmount": "500", "limitUnit": "USD", "timeUnit": "MONTHLY", **changes}
    return a("budget", name=name, notifications=[notification], **held)


def impact(least: str) -> Resource:
    dimension = {"key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "matchOptions": ["GREATER_THAN_OR_EQUAL"], "values": [least]}
    return a("anomalies", subscribers=[{"address": "a@example.com"}], thresholdExpression={"dimension": dimension})


TABLE: dict[str, list[Case]] = {
    "gpu-types-allowed": [
        ("allowed", [nodes(1, "g5.xlarge", "g5.48xlarge")], "good", 0, {}),
        ("allowed for SageMaker", [variants("ml.g5.xlarge")], "good", 0, {}),
        ("none is accelerated", [nodes(1, "m7i.large", "inf.small"), a("instance")], "good", 0, {}),
        ("allowed by glob", [a("instance", instanceType="g6e.xlarge")], "good", 0, {"types": ["g6e.*"]}),
        ("allowed by what it has", [asks(allowedInstanceTypes=["g5.*"])], "good", 0, {"types": ["g5.*"]}),
        ("wants no accelerator", [a("template", instanceRequirements={"vcpuCount": {"min": 2}})], "good", 0, {}),
        ("instance", [a("instance", instanceType="p5.48xlarge")], "bad", 1, {}),
        ("newest", [a("template", instanceType="p6-b200.48xlarge")], "bad", 1, {}),
        ("group", [mixed({"instanceType": "g5.xlarge"}, {"instanceType": "trn2.48xlarge"})], "bad", 1, {}),
        ("fleet", [a("fleet", launchTemplateConfigs=[{"overrides": [{"instanceType": "dl1.24xlarge"}]}])], "bad", 1, {}),
        ("family", [a("batch", computeResources={"instanceTypes": ["p4d", "m7i"]})], "bad", 1, {}),
        ("SageMaker", [variants("ml.p4d.24xlarge")], "bad", 1, {}),
        ("any accelerator", [asks()], "bad", 1, {}),
        ("any of a family", [asks(allowedInstanceTypes=["p5*.*"])], "bad", 1, {}),
        ("unknown beside a bad one", [nodes(1, UNKNOWN, "p5.48xlarge")], "unknown", 1, {}),
        ("unknown list", [a("nodes", instanceTypes=UNKNOWN)], "unknown", 0, {}),
    ],
    "gpu-hourly-ceiling": [
        ("under", [nodes(3, "g5.12xlarge"), a("instance", instanceType="m7i.large")], "good", 0, {}),
        ("no accelerator", [nodes(1000, "m7i.large")], "good", 0, {}),
        ("at zero", [nodes(0, "p5.48xlarge")], "good", 0, {}),
        ("over", [nodes(4, "g5.12xlarge")], "bad", 1, {}),
        ("over by the dearest", [nodes(4, "g5.xlarge", "g5.12xlarge")], "bad", 1, {}),
        ("over together", [nodes(2, "g5.12xlarge"), mixed({"instanceType": "g5.12xlarge"}, most=2)], "bad", 1, {}),
        ("over by a reservation", [a("reservation", instanceType="g5.48xlarge", instanceCount=2)], "bad", 1, {}),
        ("by template", [nodes(4, come={"launchTemplate": [NEW_TEMPLATE]}), NEW_TEMPLATE], "bad", 1, {}),
        (
            "by the template's id",
            [nodes(4, launchTemplate={"id": "lt-1"}), a("template", id="lt-1", instanceType="g5.12xlarge")],
            "bad",
            1,
            {},
        ),
        ("a lower ceiling", [a("instance", instanceType="g5.xlarge")], "bad", 1, {"usd_per_hour": 1}),
        ("no price", [a("instance", instanceType="p6-b200.48xlarge")], "bad", 1, {}),
        ("no price for SageMaker", [variants("ml.p6-b200.48xlarge")], "bad", 1, {}),
        ("estimated for SageMaker", [variants("ml.g5.xlarge", count=14)], "good", 0, {}),
        ("estimated for SageMaker, and over", [variants("ml.g5.xlarge", count=15)], "bad", 1, {}),
        ("a price given", [variants("ml.g5.xlarge", count=2)], "good", 0, {"prices": {"ml.g5.xlarge": 1.408}}),
        ("a price given, and over", [variants("ml.g5.xlarge", count=20)], "bad", 1, {"prices": {"ml.g5.xlarge": 1.408}}),
        ("unknown size", [nodes(UNKNOWN, "g5.xlarge")], "unknown", 0, {}),
        ("unknown size beside one over", [nodes(UNKNOWN, "g5.xlarge"), nodes(4, "g5.12xlarge", name="b")], "unknown", 1, {}),
        ("unknown type beside one over", [nodes(4, UNKNOWN, "g5.12xlarge")], "unknown", 1, {}),
    ],
    "bedrock-throughput-bounded": [
        ("one unit", [a("throughput", modelUnits=1)], "good", 0, {}),
        ("two units", [a("throughput", modelUnits=2)], "bad", 1, {}),
        ("commitment", [a("throughput", modelUnits=1, commitmentDuration="SixMonths")], "bad", 1, {}),
        (
            "raised",
            [a("throughput", modelUnits=2, commitmentDuration="OneMonth")],
            "good",
            0,
            {"model_units": 2, "commitments": ["OneMonth"]},
        ),
        ("unknown", [a("throughput", modelUnits=UNKNOWN)], "unknown", 0, {}),
    ],
    "budget-present": [
        ("spends nothing", [nodes(1, "m7i.large")], "good", 0, {}),
        ("budget", [CALLS, TELLS], "good", 0, {}),
        ("budget told by topic", [CALLS, a("budget", notifications=[{"subscriberSnsTopicArns": UNKNOWN}])], "good", 0, {}),
        ("budget beside an unknown policy", [a("policy", policy=UNKNOWN), TELLS], "good", 0, {}),
        ("anomalies", [nodes(1, "g5.xlarge"), a("anomalies", subscribers=[{"address": "a@example.com"}])], "good", 0, {}),
        ("waived by an output", [CALLS, a("stack", budget_waiver="the account's owner has one")], "good", 0, {}),
        ("waived without a reason", [CALLS, a("stack", budget_waiver="")], "bad", 1, {}),
        ("models", [CALLS], "bad", 1, {}),
        ("accelerators", [a("instance", instanceType="g5.xlarge")], "bad", 1, {}),
        ("accelerators by what they have", [asks()], "bad", 1, {}),
        ("throughput", [a("throughput", modelUnits=1)], "bad", 1, {}),
        ("budget that tells nobody", [CALLS, a("budget", notifications=[{"threshold": 80}])], "bad", 1, {}),
        ("budget of hours", [CALLS, money(budgetType="USAGE", limitUnit="Hrs")], "bad", 1, {}),
        ("budget of what was paid ahead", [CALLS, money(budgetType="RI_UTILIZATION", limitUnit="PERCENTAGE")], "bad", 1, {}),
        ("budget of nothing", [CALLS, money(limitAmount="0")], "bad", 1, {}),
        ("budget of a thousand million", [CALLS, money(limitAmount="1000000000")], "bad", 1, {}),
        ("a year's budget", [CALLS, money(limitAmount="600000", timeUnit="ANNUALLY")], "good", 0, {}),
        ("a large budget", [CALLS, money(limitAmount="600000")], "bad", 1, {}),
        ("a large budget, allowed", [CALLS, money(limitAmount="600000")], "good", 0, {"usd_per_month": 10**6}),
        ("budget of S3", [CALLS, money(costFilters=[{"name": "Service", "values": ["Amazon S3"]}])], "bad", 1, {}),
        ("budget of Bedrock", [CALLS, money(costFilters=[{"name": "Service", "values": ["Amazon Bedrock"]}])], "good", 0, {}),
        ("budget of a tag", [CALLS, money(costFilters=[{"name": "TagKeyValue", "values": ["user:a$b"]}])], "good", 0, {}),
        ("told when it is little", [CALLS, money(comparisonOperator="LESS_THAN")], "bad", 1, {}),
        ("told at a thousand percent", [CALLS, money(threshold=1000)], "bad", 1, {}),
        ("told at a sum", [CALLS, money(threshold=1000, thresholdType="ABSOLUTE_VALUE")], "good", 0, {}),
        ("the second tells", [CALLS, money(threshold=1000), money(name="other")], "good", 0, {}),
        ("anomalies of a thousand million", [CALLS, impact("1000000000")], "bad", 1, {}),
        ("anomalies of a hundred", [CALLS, impact("100")], "good", 0, {}),
        ("unknown limit", [CALLS, money(limitAmount=UNKNOWN)], "unknown", 0, {}),
        ("unknown policy", [a("policy", policy=UNKNOWN)], "unknown", 0, {}),
        ("unknown policy beside models", [a("policy", name="new", policy=UNKNOWN), CALLS], "bad", 1, {}),
    ],
}


test_case, test_every_rule_has_all_kinds_of_case = counted_cases(RULES, TABLE)


def test_ceiling_says_what_it_adds_up() -> None:
    (problem,) = problems(BY_NAME["gpu-hourly-ceiling"], nodes(4, "g5.12xlarge", name="big"), nodes(1, "g5.xlarge"))
    assert problem.endswith("$23.69 an hour, more than $20.00: big 4 x g5.12xlarge = $22.69, nodes 1 x g5.xlarge = $1.01")
