"""Aliases, their targets and providers: from a configuration to the routes document."""

from pulumi_llm.routing.routing import Routing, read
from pulumi_llm.routing.settings import RoutingSettings

__all__ = ["Routing", "RoutingSettings", "read"]
