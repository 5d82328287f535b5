"""Elastic File System."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:efs/fileSystem:FileSystem": AwsType(
        replaced_by="availabilityZoneName creationToken encrypted kmsKeyId performanceMode",
        stateful="its files are lost with it",
    )
}
