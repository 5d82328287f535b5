"""AWS Certificate Manager."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import PROVIDER_DOCS, AwsType, ValueRule

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:acm/certificate:Certificate": AwsType(
        replaced_by=(
            "certificateAuthorityArn domainName keyAlgorithm subjectAlternativeNames validationMethod validationOptions"
        ),
        # NONE is the provider's own value for one that isn't validated
        rules={"validationMethod": ValueRule(PROVIDER_DOCS + "acm/certificate/", values=("DNS", "EMAIL", "HTTP", "NONE"))},
    ),
    "aws:acm/certificateValidation:CertificateValidation": AwsType(replaced_by="certificateArn validationRecordFqdns"),
}
