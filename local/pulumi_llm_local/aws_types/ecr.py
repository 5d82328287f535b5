"""Elastic Container Registry."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": AwsType(replaced_by="repository"),
    "aws:ecr/repository:Repository": AwsType(
        replaced_by="encryptionConfigurations name", stateful="its images are lost with it"
    ),
}
