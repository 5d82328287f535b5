"""The settings of batches."""

from collections.abc import Iterator
from typing import Annotated, Final

from pulumi_llm.base.settings import Between, Count, Input, Problem, Settings

# Four batches at once, each with its `maximum_concurrency`.
_DEFAULT_RESERVED: Final = 20


class BatchesSettings(Settings):
    """Batches: files of requests that are answered within a day."""

    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    maximum_concurrency: Annotated[Count, Between(1, 1_000)] = 5
    """How many calls of the function a batch may make at once. With `lines_per_call` it bounds the calls of models of each
    batch: by default 5 x 4 = 20 at once."""
    lines_per_call: Annotated[Count, Between(1, 100)] = 4
    """How many requests a call of the function answers at once. Most of its time it waits for models, so that more of them cost
    less."""
    memory_mb: Input[Annotated[Count, Between(256, 10_240)]] = 512
    """The function's memory in MB; on Lambda it also sets its share of a processor."""
    reserved_concurrency: Annotated[Count, Between(0, 10_000)] | None = None
    """How many calls of the function all batches together may make at once, at least `maximum_concurrency`. So many executions
    of the account are kept for them, so that they never take those of the API. 0: none are kept, and nothing bounds them.
    Default: 20, or `maximum_concurrency` where that is more."""

    @property
    def reserved(self) -> int | None:
        """The executions that are reserved for the function, None: none."""
        asked = self.reserved_concurrency
        return max(_DEFAULT_RESERVED, self.maximum_concurrency) if asked is None else asked or None

    def problems(self) -> Iterator[Problem]:
        reserved = self.reserved_concurrency
        if reserved and self.valid("maximum_concurrency") and reserved < self.maximum_concurrency:
            reason = f"must be 0, or at least maximum_concurrency, which is {self.maximum_concurrency}, not {reserved}"
            yield Problem("reserved_concurrency", reason)
