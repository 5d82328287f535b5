"""Key Management Service."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, PROVIDER_DOCS, AwsType, Outputs, ValueRule
from pulumi_llm_local.aws_types.draft import Draft

_API: Final = AWS_DOCS + "kms/latest/APIReference/API_"


def _kms_alias(draft: Draft) -> Outputs:
    """The target may be given as a key's id or as its ARN."""
    key = draft.text("targetKeyId")
    region = "arn:{partition}:kms:{region}:{account}:"
    return {"id": "{name}", "arn": region + "{name}", "targetKeyArn": key if key.startswith("arn:") else f"{region}key/{key}"}


def _alias_name(name: str, inputs: Mapping[str, Any]) -> str:
    return f"alias/{name.removeprefix('alias/')}"


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:kms/alias:Alias": AwsType(
        outputs=_kms_alias,
        replaced_by="name namePrefix",
        adapt_name=_alias_name,
        rules={"name": ValueRule(_API + "CreateAlias.html", high=256, pattern="alias/[a-zA-Z0-9/_-]+")},
    ),
    "aws:kms/key:Key": AwsType(
        outputs={
            "id": "{uuid}",
            "keyId": "{id}",
            "arn": "arn:{partition}:kms:{region}:{account}:key/{id}",
            "keyUsage": "ENCRYPT_DECRYPT",
        },
        replaced_by="customKeyStoreId customerMasterKeySpec keyUsage multiRegion xksKeyId",
        stateful="what it encrypted can't be read without it",
        api="kms CreateKey EnableKeyRotation",
        rules={
            # the provider's name for the key spec is the API's old one, whose model has fewer values
            "customerMasterKeySpec": ValueRule(PROVIDER_DOCS + "kms/key/", member="KeySpec"),
            "deletionWindowInDays": ValueRule(_API + "ScheduleKeyDeletion.html", low=7, high=30),
            "rotationPeriodInDays": ValueRule(_API + "EnableKeyRotation.html", low=90, high=2560),
        },
    ),
}
