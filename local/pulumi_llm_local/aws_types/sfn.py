"""Step Functions."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType
from pulumi_llm_local.aws_types.draft import CREATED

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:sfn/stateMachine:StateMachine": AwsType(
        outputs={
            "id": "{arn}",
            "arn": "arn:{partition}:states:{region}:{account}:stateMachine:{name}",
            "creationDate": CREATED,
            "status": "ACTIVE",
            "type": "STANDARD",
        },
        # The source of provider 6.
        replaced_by="name namePrefix type",
        api="stepfunctions CreateStateMachine",
    )
}
