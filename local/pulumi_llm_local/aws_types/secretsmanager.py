"""Secrets Manager."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import PROVIDER_DOCS, AwsType, ValueRule

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:secretsmanager/secret:Secret": AwsType(
        outputs={"id": "{arn}", "arn": "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}-{lower6}"},
        replaced_by="name namePrefix",
        stateful="its value is lost with it",
        rules={"recoveryWindowInDays": ValueRule(PROVIDER_DOCS + "secretsmanager/secret/", values=(0, *range(7, 31)))},
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": AwsType(
        outputs={
            "id": "{secretId}|{versionId}",
            "versionId": "{uuid}",
            "arn": "{secretId}",
            "secretArn": "{secretId}",
            "hasSecretStringWo": False,
            "versionStages": ["AWSCURRENT"],
        },
        replaced_by="secretBinary secretId secretString secretStringWoVersion",
        api="secretsmanager PutSecretValue",
    ),
}
