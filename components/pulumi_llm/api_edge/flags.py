"""The feature flags: as a setting, and what AppConfig holds their document against."""

import json
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from llm_gateway.flags import document_type
from llm_gateway.routes import Routes
from pulumi_llm.base.settings import Flag, Problem, Settings

# https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_Validator.html
VALIDATOR_CHARACTERS = 32_768


class FlaggedSettings(Settings):
    """What an API says of feature flags."""

    flags: Flag = False
    """Make a configuration in AWS AppConfig by which the running service is changed without a deployment: switched off, as a
    whole or by alias; weights of targets; filters and the guardrail; the cache; limits; more rules of callers. Each process
    asks for it once a minute."""

    def flags_problems(self, routes: Routes) -> Iterator[Problem]:
        """Yield what keeps AppConfig from taking the validator."""
        if self.valid("flags") and self.flags and (length := len(validator(routes))) > VALIDATOR_CHARACTERS:
            reason = (
                f"needs a validator of {length:,} characters, which names every alias and target, and AppConfig takes "
                f"{VALIDATOR_CHARACTERS:,}; give fewer models"
            )
            yield Problem("flags", reason)


def validator(routes: Routes) -> str:
    """Return the JSON Schema of the documents that functions with these routes accept, as text."""
    return json.dumps(json_schema(routes), separators=(",", ":"))


def json_schema(routes: Routes) -> dict[str, Any]:
    """Return the JSON Schema of the documents that functions with these routes accept, in AppConfig's draft 4.

    https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-configuration-and-profile-validators.html
    """
    schema = msgspec.json.schema(document_type(routes))
    definitions = {name: _draft_4(each) for name, each in schema["$defs"].items()}
    root = definitions.pop(schema["$ref"].rpartition("/")[2])
    return {"$schema": "http://json-schema.org/draft-04/schema#", **root, "definitions": definitions}


def _draft_4(value: Any) -> Any:
    if isinstance(value, list):
        return [_draft_4(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, each in cast("dict[str, Any]", value).items():
        match name:
            case "title" | "description" | "default":
                pass
            case "required" if not each:  # draft 4 takes no empty list
                pass
            case "properties":
                found[name] = {key: _draft_4(schema) for key, schema in each.items()}
            case "$ref":
                found[name] = each.replace("#/$defs/", "#/definitions/")
            case _:
                found[name] = _draft_4(each)
    if "propertyNames" in found:  # newer than draft 4
        pattern = found.pop("propertyNames")["pattern"]
        found |= {"patternProperties": {pattern: found["additionalProperties"]}, "additionalProperties": False}
    return found
