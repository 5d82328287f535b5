"""The description of AccountBaseline's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from pulumi_llm.base.settings import (
    Between,
    Customize,
    Flag,
    Input,
    KmsKeyArn,
    Number,
    Problem,
    RetentionDays,
    Settings,
    Tags,
    form,
)
from pulumi_llm.base.subscribers import SubscriberSettings

PARTS = ("api_gateway_logs", "github_oidc", "cost_anomalies", "bedrock_invocation_logs")


_MonitorArn = Annotated[
    str,
    form(r"arn:aws[a-z-]*:ce::\d{12}:anomalymonitor/[\w-]+", "a monitor's ARN, such as arn:aws:ce::ACCOUNT:anomalymonitor/ID"),
]


class CostAnomalySettings(SubscriberSettings):
    """Anomalies of the account's cost, by service. Addresses get a summary once a day, the topic each anomaly at once."""

    minimum_usd: Input[Annotated[Number, Between(0, 1_000_000_000)]] = 100
    """Notify of an anomaly from this cost on, in US dollars."""
    monitor_arn: Input[_MonitorArn] | None = None
    """The account's monitor of services. AWS refuses a second one, and makes one itself (`Default-Services-Monitor`) in most
    accounts: `aws ce get-anomaly-monitors` tells. Default: none; a monitor is made."""


class BaselineSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    api_gateway_logs: Flag = False
    """Let API Gateway write logs in this Region: the role that stages with access logs need."""
    github_oidc: Flag = False
    """Trust GitHub Actions' OpenID Connect tokens in this account: the provider that deploy roles name."""
    cost_anomalies: CostAnomalySettings | None = None
    """Watch the account's cost by service, and notify somebody of anomalies. Default: not watched."""
    bedrock_invocation_logs: Flag = False
    """Log every Bedrock invocation in this Region, with prompts and answers in plain text. CloudWatch Logs takes bodies
    of up to 100 KB; a longer prompt or answer is missing there."""
    log_retention_days: RetentionDays = 30
    """How long Bedrock's invocation logs are kept, in days; one of the numbers that CloudWatch Logs accepts."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of those logs; its policy must let CloudWatch Logs use it. Default: a key of AWS."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if not self.bedrock_invocation_logs and self.valid("bedrock_invocation_logs"):
            for name in ("log_retention_days", "kms_key_arn"):
                if self.given(name):
                    yield Problem(name, "is for the logs of bedrock_invocation_logs; leave it out, or set that to true")

    @property
    def enabled(self) -> bool:
        """Whether any part is asked for."""
        return any(getattr(self, part) for part in PARTS)


class AccountBaselineSettings(BaselineSettings):
    """What to set. Nothing is set unless it is asked for: another stack, or a person, may have set it already."""

    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        wrong = any(self.given(part) and not self.valid(part) for part in PARTS)
        if not self.enabled and not wrong:
            yield Problem(PARTS[0], f"nothing is asked for; give {', '.join(PARTS[:-1])} or {PARTS[-1]}")
