"""Aliases, their targets and providers: from a configuration to the routes document."""

from pulumi_llm.routing.routing import Routing, read

__all__ = ["Routing", "read"]
