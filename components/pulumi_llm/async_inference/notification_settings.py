"""The description of the settings of notifications: who is told when a job or a batch ends."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from llm_gateway.job_events import ENDS, STATUS_OF
from pulumi_llm.api_edge.limits import Tenant
from pulumi_llm.base.settings import Input, KmsKeyArn, Problem, Settings, form
from pulumi_llm.routing.settings import SecretArn

# In the name of a rule, which has 64 characters at most, beside those of the component and of the stack.
NotificationName = Annotated[str, form(r"[a-z0-9][a-z0-9-]{0,19}", "a name: small letters, digits and '-', at most 20")]
# One function sends for all of them, whose environment has 4 KB.
MOST_NOTIFICATIONS = 5
if TYPE_CHECKING:
    _Event = str
else:
    _Event = Literal[tuple(STATUS_OF)]
_URL = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d{1,5})?(/[!-~]*)?")
_LONGEST_URL = 256


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
