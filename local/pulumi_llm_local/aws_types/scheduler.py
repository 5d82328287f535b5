"""EventBridge Scheduler."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:scheduler/schedule:Schedule": AwsType(
        outputs={
            "id": "{groupName}/{name}",
            "groupName": "default",
            "arn": "arn:{partition}:scheduler:{region}:{account}:schedule/{groupName}/{name}",
            "state": "ENABLED",
        },
        replaced_by="groupName name namePrefix",
        api="scheduler CreateSchedule",
    ),
}
