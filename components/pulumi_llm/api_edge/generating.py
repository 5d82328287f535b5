"""What the functions besides the REST API's need of the stages of a generation: their environment, and their permissions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi

from llm_gateway import environment as variables
from pulumi_llm.api_edge.appconfig import UsedFlags
from pulumi_llm.api_edge.guardrail import UsedGuardrail, ask_guardrail
from pulumi_llm.api_edge.ledger import use_ledger
from pulumi_llm.api_edge.retrieval import RetrievalSettings, retrieval_variables, retrieve_passages
from pulumi_llm.api_edge.safety import guardrail_variables
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.api_edge.tracing import put_spans
from pulumi_llm.api_edge.used import FlagsSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.location import Location


class Stages(NamedTuple):
    """The variables of a function that generates, and the statements of its policy."""

    environment: dict[str, pulumi.Input[str]]
    statements: list[Mapping[str, Any]]


def used_stages(
    component: Component,
    location: Location,
    *,
    ledger: UsedTable | None,
    guardrail: UsedGuardrail | None,
    flags: FlagsSettings | None,
    retrieval: RetrievalSettings | None,
    sends_to_xray: bool,
) -> Stages:
    """Return what a function needs that counts in the `ledger`, asks the `guardrail`, reads the `flags`, and so on, if any."""
    used_flags = None if flags is None else UsedFlags.of(flags)
    return Stages(
        {
            **({variables.LEDGER_TABLE: ledger.name} if ledger else {}),
            **(guardrail_variables(guardrail.arn, guardrail.version) if guardrail else {}),
            **(used_flags.variables if used_flags else {}),
            **retrieval_variables(retrieval),
        },
        [
            *(use_ledger(ledger) if ledger else []),
            *(ask_guardrail(component, guardrail, location) if guardrail else []),
            *(used_flags.read() if used_flags else []),
            *(retrieve_passages(retrieval) if retrieval else []),
            *(put_spans() if sends_to_xray else []),
        ],
    )
