"""The description of Observability's settings. The TypedDicts in args_types.py are generated from it."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from pulumi_llm.base.settings import Between, Customize, Input, Number, Problem, Settings, Tags
from pulumi_llm.base.subscribers import SubscriberSettings

# The parts, each made where its setting is given.
PARTS = ("budget",)


class CostTagSettings(Settings):
    """A cost allocation tag and its value."""

    key: Annotated[str, Field(min_length=1)]
    """The tag's key. It must be activated as a cost allocation tag in the account that pays the bill; AWS shows a new tag
    there only after up to 24 hours, and counts costs from its activation on."""
    value: Input[Annotated[str, Field(min_length=1)]]
    """The tag's value."""


class BudgetSettings(SubscriberSettings):
    """A monthly budget. It notifies at 50, 80 and 100 % of the amount, and when a month is forecast to pass it. It stops
    nothing, and AWS's figures are some hours old."""

    monthly_usd: Input[Annotated[Number, Between(1, 1_000_000_000)]]
    """The amount a month, in US dollars."""
    cost_tag: CostTagSettings | None = None
    """Count only the costs of resources with this tag. Default: the costs of the whole account."""


class ObservabilityBaseSettings(Settings):
    """What a stack's configuration and a program's arguments say alike."""

    budget: BudgetSettings | None = None
    """A budget that notifies its subscribers of what the account costs. Default: none."""
    customize: Customize = Field(default_factory=dict)
    """Per child, arguments that are merged with the component's own. Default: none."""

    @property
    def enabled(self) -> bool:
        """Whether any part is asked for."""
        return any(self.given(part) for part in PARTS)


class ObservabilitySettings(ObservabilityBaseSettings):
    """What to watch, and who is notified."""

    tags: Tags = Field(default_factory=dict)
    """Tags of every resource. Default: none but the component's own."""

    def problems(self) -> Iterator[Problem]:
        if not self.enabled:
            yield Problem(PARTS[0], f"nothing is asked for; give {' or '.join(PARTS)}")
