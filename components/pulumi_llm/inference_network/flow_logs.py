"""The VPC's flow logs, in a log group."""

import json
from typing import Final

import pulumi
from pulumi_aws import cloudwatch, ec2, get_caller_identity_output, iam

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document, write_logs
from pulumi_llm.inference_network.args import InferenceNetworkSettings
from pulumi_llm.inference_network.tags import named

_TRAFFIC: Final = {"rejected": "REJECT", "all": "ALL"}


def log_flows(component: Component, settings: InferenceNetworkSettings, vpc: ec2.Vpc) -> cloudwatch.LogGroup:
    """Log the network's connections.

    The role has what AWS lists, except that it makes no log group: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    """
    logs = cloudwatch.LogGroup(
        component.child_name("flow-logs"),
        retention_in_days=settings.log_retention_days,
        kms_key_id=settings.kms_key_arn,
        tags=component.tags,
        opts=component.child("flow-logs"),
    )
    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    role = iam.Role(
        component.child_name("flow-logs-role"),
        description="VPC Flow Logs write to their log group",
        assume_role_policy=account.apply(lambda account: json.dumps(assume_role("vpc-flow-logs.amazonaws.com", account))),
        tags=component.tags,
        opts=component.child("flow-logs-role"),
    )
    streams = pulumi.Output.concat(logs.arn, ":*")
    policy = iam.RolePolicy(
        component.child_name("flow-logs-policy"),
        role=role.name,
        policy=pulumi.Output.json_dumps(
            policy_document(
                write_logs(streams),
                allow("FindStreams", ["logs:DescribeLogStreams"], [logs.arn, streams]),
                allow("FindGroups", ["logs:DescribeLogGroups"], "*"),  # it takes no resource
            )
        ),
        opts=component.child("flow-logs-policy"),
    )
    ec2.FlowLog(
        component.child_name("flow-log"),
        vpc_id=vpc.id,
        traffic_type=_TRAFFIC[settings.flow_logs],
        log_destination_type="cloud-watch-logs",
        log_destination=logs.arn,
        iam_role_arn=role.arn,
        tags=named(component, "flow-log"),
        opts=component.child("flow-log", depends_on=[policy]),
    )
    return logs
