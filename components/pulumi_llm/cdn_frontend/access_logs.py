"""The CDN's access logs: CloudFront's standard logging (v2), to a log group."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudfront, cloudwatch, get_caller_identity_output

from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import policy_document
from pulumi_llm.cdn_frontend.web_acls import CDN_REGION


def log_requests(component: Component, distribution: cloudfront.Distribution, retention_days: int) -> cloudwatch.LogGroup:
    """Deliver a line a request to a log group, which is in us-east-1 as everything of CloudFront.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging.html
    """
    logs = cloudwatch.LogGroup(
        component.child_name("logs"),
        region=CDN_REGION,
        retention_in_days=retention_days,
        tags=component.tags,
        opts=component.child("logs"),
    )
    account = get_caller_identity_output(opts=component.invoke_options()).account_id
    policy = cloudwatch.LogResourcePolicy(
        component.child_name("logs-policy"),
        region=CDN_REGION,
        policy_name=logs.name,
        policy_document=pulumi.Output.all(logs.arn, account).apply(_deliver),
        opts=component.child("logs-policy"),
    )
    source = cloudwatch.LogDeliverySource(
        component.child_name("log-source"),
        region=CDN_REGION,
        log_type="ACCESS_LOGS",
        resource_arn=distribution.arn,
        tags=component.tags,
        # A distribution has one source of a kind, and a source stays while a delivery uses it.
        opts=component.child("log-source", delete_before_replace=True),
    )
    destination = cloudwatch.LogDeliveryDestination(
        component.child_name("log-destination"),
        region=CDN_REGION,
        output_format="json",
        delivery_destination_configuration={"destination_resource_arn": logs.arn},
        tags=component.tags,
        opts=component.child("log-destination"),
    )
    cloudwatch.LogDelivery(
        component.child_name("log-delivery"),
        region=CDN_REGION,
        delivery_source_name=source.name,
        delivery_destination_arn=destination.arn,
        tags=component.tags,
        opts=component.child("log-delivery", depends_on=[policy]),
    )
    return logs


def _deliver(arn_and_account: Sequence[str]) -> str:
    """Let the delivery of logs write to the log group. Without it AWS would make a policy for all log groups, and leave it.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-V2-CloudWatchLogs.html
    """
    arn, account = arn_and_account
    statement: dict[str, Any] = {
        "Sid": "DeliverLogs",
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{arn}:log-stream:*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": f"arn:aws:logs:{CDN_REGION}:{account}:*"},
        },
    }
    return json.dumps(policy_document(statement))
