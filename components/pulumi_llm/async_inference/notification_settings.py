"""The description of the settings of notifications: who is told when a job or a batch ends."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from llm_gateway.job_events import ENDS, STATUS_OF
from llm_gateway.tables import JOB_EVENT_SOURCE, JOB_TENANT
from pulumi_llm.api_edge.limits import Tenant
from pulumi_llm.base.settings import Input, KmsKeyArn, Problem, Settings, form
from pulumi_llm.routing.settings import SecretArn

# In the name of a rule, which has 64 characters at most, beside that of the component.
NotificationName = Annotated[str, form(r"[a-z0-9][a-z0-9-]{0,19}", "a name: small letters, digits and '-', at most 20")]
# One function sends for all of them, whose environment has 4 KB.
MOST_NOTIFICATIONS = 5
if TYPE_CHECKING:
    _Event = str
else:
    _Event = Literal[tuple(STATUS_OF)]
_URL = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d{1,5})?(/[!-~]*)?")
_LONGEST_URL = 256
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
_LONGEST_PATTERN = 2_048


def _https_url(value: str) -> str:
    if len(value) > _LONGEST_URL or _URL.fullmatch(value) is None or "#" in value:
        # The value is not shown, for it may have a password in it.
        raise ValueError(
            f"must be a URL such as https://example.com/webhooks, of {_LONGEST_URL} characters at most, with a host's name in "
            "small letters and no user"
        )
    return value


class WebhookSettings(Settings):
    """A receiver that is told by HTTPS, signed as Standard Webhooks has it."""

    regional = ("secret_arn", "kms_key_arn")

    url: Input[Annotated[str, AfterValidator(_https_url)]]
    """Where the events are posted. Its host must have public addresses only."""
    secret_arn: Input[SecretArn]
    """The Secrets Manager secret that holds what the events are signed with: `whsec_` and 24 to 64 random bytes in Base64, or
    two of these with a space between them while the receiver changes from one to the other. The whole ARN."""
    kms_key_arn: Input[KmsKeyArn] | None = None
    """The customer key that encrypts the secret. Default: AWS's own, which needs no permission."""


class NotificationSettings(Settings):
    """Who is told of which events of jobs and batches."""

    events: Annotated[tuple[_Event, ...], Field(min_length=1)] = ENDS
    """Of what they are told. Default: of the end of a job, `job.succeeded`, `job.failed`, `job.cancelled`, and of a batch,
    `batch.completed`, `batch.failed`, `batch.expired`, `batch.cancelled`."""
    tenants: Annotated[tuple[Tenant, ...], Field(min_length=1, max_length=20)] | None = None
    """The tenants of whose jobs and batches they are told. Default: all."""
    webhook: WebhookSettings
    """The receiver."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("events") and len(set(self.events)) < len(self.events):
            yield Problem("events", "must name each event once")
        if self.valid("events", "tenants") and (size := len(self.event_pattern.encode())) > _LONGEST_PATTERN:
            reason = f"make an event pattern of {size:,} bytes; EventBridge takes {_LONGEST_PATTERN:,}: use two notifications"
            yield Problem("tenants", reason)

    @property
    def event_pattern(self) -> str:
        """The pattern of the events. A replay's are among them: a receiver knows an event again by its id."""
        detail = {"detail": {JOB_TENANT: list(self.tenants)}} if self.tenants else {}
        pattern = {"source": [JOB_EVENT_SOURCE], "detail-type": list(self.events), **detail}
        return json.dumps(pattern, ensure_ascii=False)
