"""Observability: who is notified of what a service costs."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.observability.args_types import ObservabilityArgs
    from pulumi_llm.observability.component import Observability
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"Observability": "component", "ObservabilityArgs": "args_types"})

__all__ = ["Observability", "ObservabilityArgs"]
