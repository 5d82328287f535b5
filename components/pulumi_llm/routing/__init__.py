"""Aliases, their targets and providers: from a configuration to the routes document."""

from pulumi_llm.routing.policies import model_policies, policy_problems
from pulumi_llm.routing.routing import Routing, read, unique
from pulumi_llm.routing.settings import RoutingSettings, SecretArn

__all__ = ["Routing", "RoutingSettings", "SecretArn", "model_policies", "policy_problems", "read", "unique"]
