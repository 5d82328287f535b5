"""What the events of jobs look like: JSON Schemas, and the registry that shows them to whoever writes a rule.

Each field of an event's detail stands once, in `FIELDS`: the pipe makes the detail of it, and the schemas describe it.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import schemas

from llm_gateway.job_events import STATUS_OF
from llm_gateway.tables import JOB_ALIAS, JOB_EVENT_SOURCE, JOB_STATUS, JOB_TENANT, JOB_VERSION, JOBS, JOBS_BY_OWNER
from pulumi_llm.base.component import Component

CHILDREN: Mapping[str, type[pulumi.Resource]] = {"schemas": schemas.Registry, "schema": schemas.Schema}


class Field(NamedTuple):
    """A field of the detail: the path of its value in the image of the job's item, and what it says."""

    path: str
    text: str


FIELDS: Mapping[str, Field] = {
    JOBS.hash_key: Field(
        f"{JOBS.hash_key}.S",
        "The id of the job, or of the batch, by which its owner asks for it: GET /jobs/{id}, or GET /v1/batches/{id}.",
    ),
    JOB_TENANT: Field(f"{JOB_TENANT}.S", "The tenant of the caller who submitted it."),
    JOB_ALIAS: Field(
        f"{JOB_ALIAS}.S", "The alias of the model that it asks; of a batch, once it has ended, and empty where it asks several."
    ),
    JOB_STATUS: Field(f"{JOB_STATUS}.S", "What it is now."),
    JOBS_BY_OWNER.sort_key: Field(
        f"{JOBS_BY_OWNER.sort_key}.S",
        "When it was submitted, in UTC, such as 2026-11-30T19:02:44.123Z. Once a job has expired, its Idempotency-Key makes "
        "another one with the same id.",
    ),
    JOB_VERSION: Field(
        f"{JOB_VERSION}.N",
        "How many changes its status has had, as digits. An event that comes twice has the same job and version, and of two "
        "events of a job, the one with the larger number is later.",
    ),
}
# What EventBridge puts around every event, as texts.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
_ENVELOPE = ("version", "id", "account", "time", "region")


def schema(event: str) -> dict[str, Any]:
    """Return the JSON Schema of an event such as "job.succeeded". It lets more fields be there: some may be added.

    The registry takes draft 4. https://docs.aws.amazon.com/eventbridge/latest/schema-reference/what-is-eventbridge-schemas.html
    """
    status = STATUS_OF[event]
    detail: dict[str, Any] = {name: {"type": "string", "description": field.text} for name, field in FIELDS.items()}
    detail[JOB_STATUS]["enum"] = [status]
    detail[JOB_VERSION]["pattern"] = "^[0-9]+$"
    properties: dict[str, Any] = {name: {"type": "string"} for name in _ENVELOPE}
    properties["source"] = {"type": "string", "enum": [JOB_EVENT_SOURCE]}
    properties["detail-type"] = {"type": "string", "enum": [event]}
    properties["resources"] = {"type": "array", "items": {"type": "string"}}
    properties["replay-name"] = {"type": "string", "description": "The replay of an archive that sends it again."}
    properties["detail"] = {"type": "object", "required": list(detail), "properties": detail}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": event,
        "description": f"The status of a {event.partition('.')[0]} is {status} now.",
        "type": "object",
        "required": [name for name in properties if name != "replay-name"],
        "properties": properties,
    }


def create_schemas(component: Component) -> schemas.Registry:
    """Make the registry, and in it the schema of each event, by the names that EventBridge gives to those it discovers."""
    registry = schemas.Registry(
        component.child_name("schemas"),
        description="Events of the jobs of pulumi-llm",
        tags=component.tags,
        opts=component.child("schemas"),
    )
    for event in STATUS_OF:
        schemas.Schema(
            f"{component.child_name('schema')}-{event.replace('.', '-')}",
            name=f"{JOB_EVENT_SOURCE}@{event}",
            registry_name=registry.name,
            type="JSONSchemaDraft4",
            content=json.dumps(schema(event)),
            tags=component.tags,
            opts=component.child("schema"),
        )
    return registry
