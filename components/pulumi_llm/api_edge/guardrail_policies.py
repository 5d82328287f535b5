"""What guardrails of Bedrock know: filters of content, kinds of personal data, and the Regions of their profiles."""

from collections.abc import Mapping

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GuardrailContentFilterConfig.html
CONTENT_FILTERS = ("SEXUAL", "VIOLENCE", "HATE", "INSULTS", "MISCONDUCT", "PROMPT_ATTACK")
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_GuardrailPiiEntityConfig.html
PII_ENTITIES = (
    *("ADDRESS", "AGE", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "CA_HEALTH_NUMBER", "CA_SOCIAL_INSURANCE_NUMBER"),
    *("CREDIT_DEBIT_CARD_CVV", "CREDIT_DEBIT_CARD_EXPIRY", "CREDIT_DEBIT_CARD_NUMBER", "DRIVER_ID", "EMAIL"),
    *("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "IP_ADDRESS", "LICENSE_PLATE", "MAC_ADDRESS", "NAME", "PASSWORD", "PHONE", "PIN"),
    *("SWIFT_CODE", "UK_NATIONAL_HEALTH_SERVICE_NUMBER", "UK_NATIONAL_INSURANCE_NUMBER"),
    *("UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER", "URL", "USERNAME", "US_BANK_ACCOUNT_NUMBER", "US_BANK_ROUTING_NUMBER"),
    *("US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", "US_PASSPORT_NUMBER", "US_SOCIAL_SECURITY_NUMBER"),
    "VEHICLE_IDENTIFICATION_NUMBER",
)
# The Regions where a profile may evaluate, by the geography.
# https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-cross-region-support.html
PROFILES: Mapping[str, tuple[str, ...]] = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "us-gov": ("us-gov-east-1", "us-gov-west-1"),
    "apac": ("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    "eu": ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"),
}
# London has a profile of its own, and Zurich none.
_OUTSIDE = ("eu-west-2", "eu-central-2")


def profile(region: str) -> str | None:
    """The geography of a Region whose guardrails can be evaluated in other Regions, None where that is not known."""
    geography = "us-gov" if region.startswith("us-gov-") else region.split("-", maxsplit=1)[0]
    if region in PROFILES["apac"]:
        return "apac"
    return geography if geography in PROFILES and region not in _OUTSIDE else None
