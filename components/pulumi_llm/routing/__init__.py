"""Aliases, their targets and providers: from a configuration to the routes document."""

from pulumi_llm.routing.routing import ARN_LENGTH, Routing, read
from pulumi_llm.routing.settings import RoutingSettings

__all__ = ["ARN_LENGTH", "Routing", "RoutingSettings", "read"]
