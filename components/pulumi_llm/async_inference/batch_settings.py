"""The settings of batches."""

from typing import Annotated

from pulumi_llm.base.settings import Between, Count, Input, Settings


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
