"""Which target of an alias answers."""

from llm_gateway.routes import Alias, Target


def route(alias: Alias) -> Target:
    """The target of highest priority: the first."""
    return alias.targets[0]
