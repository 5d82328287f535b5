"""CloudWatch, CloudWatch Logs and EventBridge, which are one module in the SDK."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_RETENTION: Final = (
    *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


_DELIVERY: Final = "aws:cloudwatch/logDelivery:LogDelivery"


def _on_a_bus(draft: Draft, between: str) -> str:
    """The name of an own bus, before what is on it; nothing before what is on the account's default bus."""
    bus = draft.text("eventBusName", "default").rpartition("/")[2]
    return "" if bus == "default" else f"{bus}{between}"


def _event_rule(draft: Draft) -> Outputs:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html"""
    return {
        "id": _on_a_bus(draft, "/") + "{name}",
        "arn": "arn:{partition}:events:{region}:{account}:rule/" + _on_a_bus(draft, "/") + "{name}",
        "state": "ENABLED",
    }


def _event_target(draft: Draft) -> Outputs:
    return {"id": _on_a_bus(draft, "-") + "{rule}-{targetId}"}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": AwsType(
        outputs={"id": "{alarmName}", "arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{alarmName}"},
        replaced_by="actionsEnabled alarmName",
    ),
    "aws:cloudwatch/dashboard:Dashboard": AwsType(
        outputs={"id": "{dashboardName}", "dashboardArn": "arn:{partition}:cloudwatch::{account}:dashboard/{dashboardName}"},
        replaced_by="dashboardName",
    ),
    # Replacement: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-events-archive.html
    "aws:cloudwatch/eventArchive:EventArchive": AwsType(
        outputs={"id": "{name}", "arn": "arn:{partition}:events:{region}:{account}:archive/{name}"},
        replaced_by="eventSourceArn name",
        stateful="its events are lost with it",
        api="events CreateArchive",
    ),
    "aws:cloudwatch/eventBus:EventBus": AwsType(
        outputs={"id": "{name}", "arn": "arn:{partition}:events:{region}:{account}:event-bus/{name}"},
        replaced_by="eventSourceName name",
        api="events CreateEventBus",
    ),
    "aws:cloudwatch/eventRule:EventRule": AwsType(
        outputs=_event_rule,
        replaced_by="eventBusName name namePrefix",
        api="events PutRule",
    ),
    "aws:cloudwatch/eventTarget:EventTarget": AwsType(
        outputs=_event_target,
        replaced_by="eventBusName rule targetId",
        name_property="targetId",
        api="events PutTargets PutTargets.Targets",
    ),
    # Deliveries: the source of provider 6. Its own check is by the ARN's service: one of the same service is updated in place.
    _DELIVERY: AwsType(
        outputs={"id": "{lower16}", "arn": "arn:{partition}:logs:{region}:{account}:delivery:{id}"},
        replaced_by="deliveryDestinationArn deliverySourceName",
        api="logs CreateDelivery",
    ),
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": AwsType(
        outputs={
            "id": "{name}",
            "arn": "arn:{partition}:logs:{region}:{account}:delivery-destination:{name}",
            "deliveryDestinationType": "CWL",
        },
        replaced_by="name outputFormat",
        api="logs PutDeliveryDestination",
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteDeliveryDestination.html
        blocked_by=(
            Relation(
                _DELIVERY,
                {"deliveryDestinationArn": "arn"},
                "ConflictException: Cannot delete a delivery destination with which a delivery is associated",
            ),
        ),
    ),
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": AwsType(
        outputs={
            "id": "{name}",
            "arn": "arn:{partition}:logs:{region}:{account}:delivery-source:{name}",
            "service": "cloudfront",
        },
        replaced_by="logType name resourceArn",
        api="logs PutDeliverySource",
        # "This ResourceId has already been used in another Delivery Source in this account."
        # https://github.com/hashicorp/terraform-provider-aws/issues/40885
        unique=("logType", "resourceArn"),
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteDeliverySource.html
        blocked_by=(
            Relation(
                _DELIVERY,
                {"deliverySourceName": "name"},
                "ConflictException: Cannot delete a delivery source with which a delivery is associated",
            ),
        ),
    ),
    "aws:cloudwatch/logGroup:LogGroup": AwsType(
        outputs={
            "id": "{name}",
            "arn": "arn:{partition}:logs:{region}:{account}:log-group:{name}",
            "logGroupClass": "STANDARD",
        },
        replaced_by="logGroupClass name namePrefix",
        stateful="its logs are lost with it",
        api="logs CreateLogGroup PutRetentionPolicy",
        rules={  # 0 is the provider's word for ever
            "retentionInDays": ValueRule(
                AWS_DOCS + "AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html", values=_RETENTION
            )
        },
    ),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": AwsType(
        outputs={"id": "{name}"}, replaced_by="logGroupName name", api="logs PutMetricFilter"
    ),
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": AwsType(
        outputs={"id": "{policyName}"},
        # resourceArn: the source of provider 6.
        replaced_by="policyName resourceArn",
        api="logs PutResourcePolicy",
    ),
    "aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter": AwsType(
        # The source of provider 6 hashes the log group's name.
        outputs={"id": "cwlsf-{lower8}"},
        replaced_by="logGroup name",
        api="logs PutSubscriptionFilter",
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": AwsType(
        outputs={"id": "{name}", "arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"},
        replaced_by="name",
        rules={
            "name": ValueRule(AWS_DOCS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html", member="AlarmName"),
            "treatMissingData": ValueRule(
                AWS_DOCS + "AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html",
                values=("breaching", "notBreaching", "ignore", "missing"),
            ),
        },
    ),
}
