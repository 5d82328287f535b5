"""All rules of the pack, in the order of docs/policies.md."""

from typing import Final

from llm_policies import (
    balancers,
    bedrock,
    clusters,
    dead_letters,
    doors,
    encryption,
    exposure,
    least_privilege,
    limits,
    logs,
    operations,
    spend,
    stores,
    trust,
    workloads,
)
from llm_policies.rule import Rule

RULES: Final[tuple[Rule, ...]] = (
    *least_privilege.RULES,
    *trust.RULES,
    *bedrock.RULES,
    *limits.RULES,
    *spend.RULES,
    *encryption.RULES,
    *stores.RULES,
    *exposure.RULES,
    *doors.RULES,
    *logs.RULES,
    *balancers.RULES,
    *operations.RULES,
    *dead_letters.RULES,
    *clusters.RULES,
    *workloads.RULES,
)
