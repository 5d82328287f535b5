"""AWS Certificate Manager."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import PROVIDER_DOCS, AwsType, Outputs, Relation, ValueRule
from pulumi_llm_local.aws_types.draft import Draft


def _certificate(draft: Draft) -> Outputs:
    """By DNS, each name is validated by a CNAME record of its own.

    https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
    """
    names = dict.fromkeys([draft.text("domainName"), *draft.inputs.get("subjectAlternativeNames", [])])
    options = [
        {
            "domainName": name,
            "resourceRecordName": f"_{draft.hex(32, name)}.{name}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{draft.hex(32, f'{name}.value')}.{draft.lower(10, name)}.acm-validations.aws.",
        }
        for name in names
    ]
    return {
        "id": "{arn}",
        "arn": "arn:{partition}:acm:{region}:{account}:certificate/{uuid}",
        "domainValidationOptions": options if draft.text("validationMethod") == "DNS" else [],
        "status": "PENDING_VALIDATION",
    }


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:acm/certificate:Certificate": AwsType(
        outputs=_certificate,
        replaced_by=(
            "certificateAuthorityArn domainName keyAlgorithm subjectAlternativeNames validationMethod validationOptions"
        ),
        # NONE is the provider's own value for one that isn't validated
        rules={"validationMethod": ValueRule(PROVIDER_DOCS + "acm/certificate/", values=("DNS", "EMAIL", "HTTP", "NONE"))},
        # https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html
        blocked_by=(
            Relation(
                "aws:lb/listener:Listener",
                {"certificateArn": "arn"},
                "ResourceInUseException: Certificate is in use",
            ),
        ),
    ),
    "aws:acm/certificateValidation:CertificateValidation": AwsType(
        outputs={"id": "{certificateArn}"}, replaced_by="certificateArn validationRecordFqdns"
    ),
}
