"""What a component uses that another component has made, as settings."""

from typing import Annotated

from pulumi_llm.base.settings import Input, KmsKeyArn, Settings, form

_TableName = Annotated[str, form(r"[a-zA-Z0-9_.-]{3,255}", "a table's name")]
_TableArn = Annotated[str, form(r"arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:\d{12}:table/[a-zA-Z0-9_.-]{3,255}", "a table's ARN")]


class TableSettings(Settings):
    """A table of another component, such as that of a ServerlessBedrockApi's keys or tickets."""

    regional = ("arn", "kms_key_arn")

    name: Input[_TableName]
    """Its name, such as the output `keys_table_name` of a ServerlessBedrockApi."""
    arn: Input[_TableArn]
    """Its ARN, such as the output `keys_table_arn` of a ServerlessBedrockApi."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts it. Default: AWS's own, which needs no permission."""


class FlagsSettings(Settings):
    """The feature flags of another component, whose aliases, limits and safety must be the same as here: a document that names
    what there is not here is refused here."""

    regional = ("arn",)

    configuration: Input[Annotated[str, form(r"[a-z0-9]+/[a-z0-9]+/[a-z0-9]+", "the ids APPLICATION/ENVIRONMENT/PROFILE")]]
    """Their configuration in AppConfig, such as the output `flags_configuration` of a ServerlessBedrockApi."""
    arn: Input[
        Annotated[
            str,
            form(
                r"arn:aws[a-z-]*:appconfig:[a-z0-9-]+:\d{12}:application/[a-z0-9]+/environment/[a-z0-9]+/configuration/[a-z0-9]+",
                "the ARN of a configuration of an environment",
            ),
        ]
    ]
    """Its ARN, such as the output `flags_configuration_arn` of a ServerlessBedrockApi."""


class JobsSettings(Settings):
    """The jobs of a ServerlessBedrockApi."""

    regional = ("table_arn", "stream_arn", "kms_key_arn")

    table_name: Input[_TableName]
    """Their table, its output `jobs_table_name`."""
    table_arn: Input[_TableArn]
    """The table's ARN, its output `jobs_table_arn`."""
    stream_arn: Input[
        Annotated[
            str,
            form(
                r"arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:\d{12}:table/[a-zA-Z0-9_.-]{3,255}/stream/[0-9T:.-]+",
                "the ARN of a table's stream",
            ),
        ]
    ]
    """The stream of the table's changes, its output `jobs_stream_arn`."""
    bucket_name: Input[Annotated[str, form(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name")]]
    """The bucket of what jobs ask and of their results, its output `jobs_bucket_name`."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts table and bucket, its argument `kms_key_arn`. Default: keys of AWS."""


# What holds for the callers of an API, and the arguments of which each says something of it.
_OF_CALLERS = {"limits": ("limits", "key_limits", "tenant_limits"), "rules": ("rules",), "safety": ("safety",)}


def unsaid_warning(settings: Settings) -> str | None:
    """Return a warning of what the callers of another API may have, and nothing is said of here; None where all is said.

    What another API has decides which resources there are here, and outputs cannot, so it cannot be taken over from it.
    """
    unsaid = [name for name, arguments in _OF_CALLERS.items() if not any(map(settings.given, arguments))]
    if not unsaid:
        return None
    return (
        f"{', '.join(unsaid)}: callers come from another API, and have none here. If they have them there, give the same here, "
        "limits with key_limits, tenant_limits and that API's ledger_table, and its flags, if it has them; empty ones, such as "
        "limits: {} or rules: [], say that they have none"
    )
