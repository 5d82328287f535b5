"""EventBridge's schema registries."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule

_API: Final = AWS_DOCS + "eventbridge/latest/schema-reference/"

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:schemas/registry:Registry": AwsType(
        outputs={"id": "{name}", "arn": "arn:{partition}:schemas:{region}:{account}:registry/{name}"},
        replaced_by="name",
        # The provider's own check: "aws." is for AWS.
        rules={"name": ValueRule(_API + "v1-registries-name-registryname.html", high=64, pattern=r"[.\-_A-Za-z0-9]+")},
    ),
    "aws:schemas/schema:Schema": AwsType(
        outputs={
            "id": "{name}/{registryName}",
            "arn": "arn:{partition}:schemas:{region}:{account}:schema/{registryName}/{name}",
            "version": "1",
        },
        replaced_by="name registryName",
        rules={
            "name": ValueRule(
                _API + "v1-registries-name-registryname-schemas-name-schemaname.html", high=385, pattern=r"[.\-_A-Za-z@0-9]+"
            )
        },
    ),
}
