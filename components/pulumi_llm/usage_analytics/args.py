"""The description of UsageAnalytics' settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from pulumi_llm.api_edge.used import TableSettings
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import (
    Customize,
    Input,
    KmsKeyArn,
    Name,
    Problem,
    Region,
    RetentionDays,
    Settings,
    Tags,
    form,
    region_problems,
)

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
_GROUP = r"[A-Za-z0-9._/#-]{1,512}"


_ArnText = Annotated[str, form(rf"arn:aws[a-z-]*:logs:[a-z0-9-]+:\d{{12}}:log-group:{_GROUP}", "a log group's ARN")]


class UsageAnalyticsBaseSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    free_text = ("customize",)
    regional = ("kms_key_arn", "log_groups")

    log_retention_days: Input[RetentionDays] = 30
    """How long the logs of the function that counts are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of its logs and environment; its policy must let CloudWatch Logs use it. Default: keys of AWS."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""


class UsageAnalyticsSettings(UsageAnalyticsBaseSettings):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    table: TableSettings
    """The table of a ServerlessBedrockApi that has `usage`: its outputs `usage_table_name` and `usage_table_arn`."""
    log_groups: Annotated[Mapping[Name, Input[_ArnText]], Field(min_length=1, max_length=20)]
    """The ARNs of the log groups whose records are counted, by any names: those of the API and, where there are some, of the
    WebSocket API's function that answers and of the workers of jobs. What these cost is counted where they have `log_costs` or
    `metrics`. A log group takes two subscription filters; one is made here."""
    region: Region | None = None
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems_in(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong with them at a location."""
        yield from region_problems(self.region, location)
