"""Route 53."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:route53/record:Record": AwsType(
        replaced_by="name zoneId", api="route53 ChangeResourceRecordSets.ChangeBatch.Changes.ResourceRecordSet"
    ),
    "aws:route53/zone:Zone": AwsType(
        api="route53 CreateHostedZone", replaced_by="delegationSetId name", stateful="callers have its names"
    ),
}
