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
    "managed": "aws:iam/policy:Policy",
    "attachment": "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "role": "aws:iam/role:Role",
    "user": "aws:iam/user:User",
    "budget": "aws:budgets/budget:Budget",
    "anomalies": "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "stack": "pulumi:pulumi:Stack",
    "spot": "aws:ec2/spotFleetRequest:SpotFleetRequest",
    "host": "aws:ec2/dedicatedHost:DedicatedHost",
    "block": "aws:ec2/capacityBlockReservation:CapacityBlockReservation",
    "configuration": "aws:ec2/launchConfiguration:LaunchConfiguration",
    "schedule": "aws:autoscaling/schedule:Schedule",
    "scaled": "aws:appautoscaling/target:Target",
    "notebook": "aws:sagemaker/notebookInstance:NotebookInstance",
    "training": "aws:sagemaker/trainingJob:TrainingJob",
    "tuning": "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob",
    "app": "aws:sagemaker/app:App",
    "space": "aws:sagemaker/space:Space",
    "domain": "aws:sagemaker/domain:Domain",
    "capacity": "aws:ecs/capacityProvider:CapacityProvider",
    "emr": "aws:emr/cluster:Cluster",
    "stream": "aws:appstream/fleet:Fleet",
    "desktop": "aws:workspaces/workspace:Workspace",
    "builders": "aws:codebuild/fleet:Fleet",
    "control": "aws:cloudcontrol/resource:Resource",
    "formation": "aws:cloudformation/stack:Stack",
    "pool": "kubernetes:karpenter.sh/v1:NodePool",
    "provisioner": "kubernetes:karpenter.sh/v1alpha5:Provisioner",
    "chart": "kubernetes:helm.sh/v3:Release",
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


def fleet(most: Any, *kinds: str, **more: Any) -> Resource:
    overrides = [{"instanceType": kind, **more} for kind in kinds]
    return a(
        "fleet", launchTemplateConfigs=[{"overrides": overrides}], targetCapacitySpecification={"totalTargetCapacity": most}
    )


def batch(most: Any, *kinds: str) -> Resource:
    return a("batch", computeResources={"instanceTypes": list(kinds), "maxVcpus": most})


def needs(**required: Any) -> list[dict[str, Any]]:
    """Requirements of Karpenter's, by the last part of the key: a list is what is allowed."""
    return [
        {
            "key": f"karpenter.k8s.aws/{key.replace('_', '-')}",
            **(rule if isinstance(rule, dict) else {"operator": "In", "values": rule}),
        }
        for key, rule in required.items()
    ]


def pool(limits: Any = None, **required: Any) -> Resource:
    return a("pool", spec={"limits": limits, "template": {"spec": {"requirements": needs(**required)}}})


def managed(**more: Any) -> Resource:
    requirements = {"vcpuCount": {"min": 4}, **more}
    return a("capacity", managedInstancesProvider={"instanceLaunchTemplate": {"instanceRequirements": requirements}})


def filled(kind: str) -> Resource:
    return a("formation", templateUrl="https://s3.amazonaws.com/x", parameters={"NodeType": kind, "Name": "p5"})


def scaled(most: Any, variant: str = "chat", **more: Any) -> Resource:
    dimension = "sagemaker:variant:DesiredInstanceCount"
    return a("scaled", resourceId=f"endpoint/chat/variant/{variant}", scalableDimension=dimension, maxCapacity=most, **more)


def variant(kind: str, count: int = 1, **more: Any) -> Resource:
    held = {"variantName": "chat", "instanceType": kind, "initialInstanceCount": count, **more}
    return a("endpoint", productionVariants=[held])


GPU = {"operator": "Gt", "values": ["0"]}
G5_GROUP = a(
    "group", name="g5", maxSize=1, mixedInstancesPolicy={"launchTemplate": {"overrides": [{"instanceType": "g5.xlarge"}]}}
)

CALL = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "arn:aws:bedrock:us-east-1::foundation-model/m"}
CALLS = a("policy", role="chat", policy=json.dumps({"Version": "2012-10-17", "Statement": [CALL]}))
MANAGED = a("managed", name="most", arn="arn:aws:iam::1:policy/most", policy=CALLS["policy"].data)
LIMITED = a("role", name="limited", permissionsBoundary="arn:aws:iam::1:policy/most")
LIMITED_USER = a("user", name="limited", permissionsBoundary="arn:aws:iam::1:policy/most")
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
        ("a family of which all are allowed", [batch(16, "g5")], "good", 0, {}),
        ("Karpenter without accelerators", [pool(instance_category=["c", "m", "r"])], "good", 0, {}),
        ("Karpenter, those allowed", [pool(instance_family=["g5"], instance_size=["xlarge", "2xlarge"])], "good", 0, {}),
        ("Karpenter, no GPU", [pool(instance_gpu_count={"operator": "DoesNotExist"})], "good", 0, {}),
        ("Karpenter, neither g nor p", [pool(instance_category={"operator": "NotIn", "values": ["g", "p"]})], "good", 0, {}),
        ("a chart without pools", [a("chart", values={"requirements": ["a"], "x": [{"y": 1}]})], "good", 0, {}),
        ("a notebook without one", [a("notebook", instanceType="ml.t3.medium"), a("space", spaceSettings={})], "good", 0, {}),
        ("ECS without accelerators", [managed()], "good", 0, {}),
        ("a template of another service", [a("formation", templateBody='{"InstanceType": "m7i.large"}')], "good", 0, {}),
        ("notebook", [a("notebook", instanceType="ml.p4d.24xlarge")], "bad", 1, {}),
        ("training", [a("training", resourceConfig={"instanceType": "ml.p5.48xlarge", "instanceCount": 1})], "bad", 1, {}),
        (
            "training by groups",
            [
                a(
                    "training",
                    resourceConfig={"instanceGroups": [{"instanceType": "ml.p5.48xlarge"}, {"instanceType": "ml.m5.large"}]},
                )
            ],
            "bad",
            1,
            {},
        ),
        ("tuning", [a("tuning", trainingJobDefinition={"resourceConfig": {"instanceType": "ml.trn1.32xlarge"}})], "bad", 1, {}),
        ("Studio's app", [a("app", resourceSpec={"instanceType": "ml.p3.2xlarge"})], "bad", 1, {}),
        (
            "Studio's default",
            [
                a(
                    "domain",
                    defaultUserSettings={"jupyterLabAppSettings": {"defaultResourceSpec": {"instanceType": "ml.g6.xlarge"}}},
                )
            ],
            "bad",
            1,
            {},
        ),
        ("dedicated host", [a("host", instanceFamily="p5")], "bad", 1, {}),
        ("spot fleet", [a("spot", launchSpecifications=[{"instanceType": "p3.2xlarge"}])], "bad", 1, {}),
        ("EMR", [a("emr", coreInstanceGroup={"instanceType": "g4dn.xlarge"})], "bad", 1, {}),
        ("AppStream", [a("stream", instanceType="stream.graphics.g5.xlarge")], "bad", 1, {}),
        ("WorkSpaces", [a("desktop", workspaceProperties={"computeTypeName": "GRAPHICSPRO_G4DN"})], "bad", 1, {}),
        ("builds", [a("builders", environmentType="LINUX_GPU_CONTAINER", baseCapacity=1)], "bad", 1, {}),
        ("ECS", [managed(acceleratorTypes=["gpu"])], "bad", 1, {}),
        ("ECS by name", [managed(acceleratorCount={"min": 1}, allowedInstanceTypes=["p5.*"])], "bad", 1, {}),
        (
            "HyperPod by Cloud Control",
            [a("control", desiredState=json.dumps({"InstanceGroups": [{"InstanceType": "ml.p5.48xlarge"}]}))],
            "bad",
            1,
            {},
        ),
        (
            "a list in a template",
            [a("formation", templateBody="InstanceTypes:\n  - m7i.large\n  - p5.48xlarge\n")],
            "bad",
            1,
            {},
        ),
        ("a list in JSON", [a("formation", templateBody='{"InstanceTypes": ["g5.xlarge",\n "p5.48xlarge"]}')], "bad", 1, {}),
        ("a template that a parameter fills", [filled("p5.48xlarge")], "bad", 1, {}),
        ("a parameter that is none", [filled("m7i.large")], "good", 0, {}),
        ("HyperPod by CloudFormation", [a("formation", templateBody="      - InstanceType: ml.p5.48xlarge\n")], "bad", 1, {}),
        ("Karpenter by categories", [pool(instance_category=["m", "g", "p"])], "bad", 2, {}),
        ("Karpenter by families", [pool(instance_family=["g5", "p5"])], "bad", 1, {}),
        ("Karpenter by type", [pool(instance_type=["p5.48xlarge", "g5.xlarge"])], "bad", 1, {}),
        ("Karpenter by GPU", [pool(instance_gpu_name=["h100"])], "bad", 1, {}),
        ("Karpenter, anything", [pool()], "bad", 1, {}),
        ("Karpenter, any GPU", [pool(instance_gpu_count=GPU)], "bad", 1, {}),
        ("Karpenter of old", [a("provisioner", spec={"requirements": needs(instance_family=["p4d"])})], "bad", 1, {}),
        (
            "Karpenter by a chart",
            [a("chart", values={"pools": [{"name": "gpu", "requirements": needs(instance_family=["p4d"])}]})],
            "bad",
            1,
            {},
        ),
        ("unknown pool", [a("pool", spec=UNKNOWN)], "unknown", 0, {}),
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
        ("fleet under", [fleet(4, "g5.xlarge", "m7i.large")], "good", 0, {}),
        ("fleet of large ones", [fleet(16, "g5.12xlarge", weightedCapacity="16")], "good", 0, {}),
        ("Batch under", [batch(64, "g5.xlarge")], "good", 0, {}),
        ("Batch without accelerators", [batch(10_000, "optimal", "m7i")], "good", 0, {}),
        ("Karpenter under", [pool({"nvidia.com/gpu": 4}, instance_family=["g5"], instance_size=["xlarge"])], "good", 0, {}),
        (
            "Karpenter under by the less",
            [pool({"cpu": "9000", "nvidia.com/gpu": 4}, instance_type=["g5.xlarge"])],
            "good",
            0,
            {},
        ),
        ("Karpenter without accelerators", [pool(instance_category=["m"])], "good", 0, {}),
        ("endpoint that scales a little", [variant("ml.g5.xlarge"), scaled(4)], "good", 0, {}),
        ("endpoint whose other variant scales", [variant("ml.g5.xlarge"), scaled(40, "other")], "good", 0, {}),
        ("endpoint without accelerators", [variant("ml.m7i.large"), scaled(400)], "good", 0, {}),
        (
            "service that scales",
            [a("scaled", resourceId="service/a/b", scalableDimension="ecs:service:DesiredCount")],
            "good",
            0,
            {},
        ),
        ("notebook under", [a("notebook", instanceType="ml.g5.xlarge")], "good", 0, {}),
        ("a schedule of another group", [G5_GROUP, a("schedule", autoscalingGroupName="other", maxSize=100)], "good", 0, {}),
        ("fleet over", [fleet(40, "g5.xlarge")], "bad", 1, {}),
        (
            "fleet over by its template",
            [
                a(
                    "fleet",
                    launchTemplateConfigs=[{"launchTemplateSpecification": {"launchTemplateId": "lt-1"}}],
                    targetCapacitySpecification={"totalTargetCapacity": 40},
                ),
                a("template", id="lt-1", instanceType="g5.xlarge"),
            ],
            "bad",
            1,
            {},
        ),
        ("spot fleet over", [a("spot", targetCapacity=40, launchSpecifications=[{"instanceType": "g5.xlarge"}])], "bad", 1, {}),
        ("Batch over", [batch(4000, "g5.xlarge")], "bad", 1, {}),
        ("Batch over by a family", [batch(1000, "g5")], "bad", 1, {}),
        ("endpoint that scales", [variant("ml.g5.xlarge"), scaled(40)], "bad", 1, {}),
        (
            "endpoint that scales itself",
            [variant("ml.g5.xlarge", managedInstanceScaling={"maxInstanceCount": 50})],
            "bad",
            1,
            {},
        ),
        ("endpoint of another stack", [scaled(40)], "bad", 1, {}),
        ("training over", [a("training", resourceConfig={"instanceType": "ml.g5.48xlarge", "instanceCount": 2})], "bad", 1, {}),
        ("Karpenter over", [pool({"nvidia.com/gpu": 64}, instance_family=["g5"])], "bad", 1, {}),
        ("Karpenter over by CPUs", [pool({"cpu": "1k"}, instance_family=["g5"])], "bad", 1, {}),
        ("Karpenter without limits", [pool(instance_family=["g5"])], "bad", 1, {}),
        ("Karpenter without a price", [pool({"cpu": 8}, instance_type=["p6-b200.48xlarge"])], "bad", 1, {}),
        (
            "group over by a schedule",
            [G5_GROUP, a("schedule", autoscalingGroupName=UNKNOWN, maxSize=100, come={"autoscalingGroupName": [G5_GROUP]})],
            "bad",
            1,
            {},
        ),
        (
            "group over by its configuration",
            [a("group", maxSize=40, launchConfiguration="c"), a("configuration", name="c", id="c", instanceType="g5.xlarge")],
            "bad",
            1,
            {},
        ),
        ("group of any accelerator", [mixed({"instanceRequirements": {"acceleratorCount": {"min": 1}}})], "bad", 1, {}),
        ("ECS without a number", [managed(acceleratorCount={"min": 1}, allowedInstanceTypes=["g5.*"])], "bad", 1, {}),
        ("a block of capacity", [a("block", capacityBlockOfferingId="cb-1")], "bad", 1, {}),
        ("a template with accelerators", [a("formation", templateBody='{"InstanceType": "g5.xlarge"}')], "bad", 1, {}),
        ("a resource by its text", [a("control", desiredState='{"InstanceTypes": ["g5.xlarge"]}')], "bad", 1, {}),
        ("a template without them, that a parameter fills", [filled("g5.xlarge")], "bad", 1, {}),
        ("a template without them", [a("formation", templateBody='{"InstanceType": "m7i.large"}')], "good", 0, {}),
        ("a template that is not known", [a("formation", templateBody=UNKNOWN)], "unknown", 0, {}),
        ("unknown bound", [variant("ml.g5.xlarge"), scaled(UNKNOWN)], "unknown", 0, {}),
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
        ("a managed policy", [MANAGED], "bad", 1, {}),
        ("a boundary of a role, which lets nobody call", [MANAGED, LIMITED], "good", 0, {}),
        ("a boundary of a user", [MANAGED, LIMITED_USER], "good", 0, {}),
        ("a boundary of another stack's roles", [MANAGED], "good", 0, {"boundaries": ["most"]}),
        ("a boundary that is attached", [MANAGED, LIMITED, a("attachment", policyArn=MANAGED["arn"].data)], "bad", 1, {}),
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
        (
            "budget of S3 by an expression",
            [CALLS, money(filterExpression={"dimensions": {"key": "SERVICE", "values": ["Amazon Simple Storage Service"]}})],
            "bad",
            1,
            {},
        ),
        ("budget that is over", [CALLS, money(timePeriodEnd="2020-01-01_00:00")], "bad", 1, {}),
        ("budget that never ends", [CALLS, money(timePeriodEnd="2087-06-15_00:00")], "good", 0, {}),
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
