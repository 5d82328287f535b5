"""Observability: who is notified of what a service costs."""

from pulumi_llm.observability.args_types import ObservabilityArgs
from pulumi_llm.observability.component import Observability

__all__ = ["Observability", "ObservabilityArgs"]
