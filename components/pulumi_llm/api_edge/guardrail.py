"""The guardrail of Bedrock's that conversations are checked by: made here with a version, or given."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi
from pulumi_aws import bedrock, get_caller_identity_output

from pulumi_llm.api_edge.guardrail_policies import PROFILES, profile
from pulumi_llm.api_edge.safety import GuardrailSettings
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow
from pulumi_llm.base.location import Location

# What AWS puts in the place of a text that it blocks. The gateway answers with an error of its own.
_BLOCKED = "Blocked by a guardrail."


class UsedGuardrail(NamedTuple):
    """A guardrail that functions ask. `profile` is that by which it is evaluated in other Regions, empty if it is not."""

    arn: pulumi.Input[str]
    version: pulumi.Input[str]
    profile: str = ""


def use_guardrail(
    component: Component, settings: GuardrailSettings, location: Location, customize: Mapping[str, Mapping[str, Any]]
) -> UsedGuardrail:
    """Return the guardrail that is given, or one that is made, which `customize` may change."""
    geography = profile(location.region) if settings.cross_region else None
    profile_id = f"{geography}.guardrail.v1:0" if geography else ""
    if settings.arn is not None and settings.version is not None:
        return UsedGuardrail(settings.arn, settings.version, profile_id)
    arguments = _arguments(settings)
    crossing: dict[str, Any] = {}
    if profile_id:  # the provider takes no id
        account = get_caller_identity_output(opts=component.invoke_options()).account_id
        arn = _profile_arn(location.region, location, account, profile_id)
        crossing = {"cross_region_config": {"guardrail_profile_identifier": arn}}
    guardrail = bedrock.Guardrail(
        component.child_name("guardrail"),
        description="Checks the conversations of pulumi-llm",
        blocked_input_messaging=_BLOCKED,
        blocked_outputs_messaging=_BLOCKED,
        **arguments,
        **crossing,
        tags=component.tags,
        opts=component.child("guardrail"),
    )
    # A version is a copy of the guardrail as it is. Another description makes another version, after the guardrail is updated
    # and before the function uses it; the old one is deleted when nothing uses it any more.
    content = json.dumps([arguments, profile_id, customize.get("guardrail")], sort_keys=True, default=str)
    version = bedrock.GuardrailVersion(
        component.child_name("guardrail-version"),
        guardrail_arn=guardrail.guardrail_arn,
        description=f"Settings {hashlib.sha256(content.encode()).hexdigest()[:16]}",
        opts=component.child("guardrail-version", depends_on=[guardrail]),
    )
    return UsedGuardrail(guardrail.guardrail_arn, version.version, profile_id)


def ask_guardrail(component: Component, guardrail: UsedGuardrail, location: Location) -> list[dict[str, Any]]:
    """Statements that allow to ask this guardrail alone, in each Region where it is evaluated.

    https://docs.aws.amazon.com/bedrock/latest/userguide/guardrail-profiles-permissions.html
    """
    resources: list[pulumi.Input[str]] = [guardrail.arn]
    if guardrail.profile:
        account = get_caller_identity_output(opts=component.invoke_options()).account_id
        for region in sorted({location.region, *PROFILES[guardrail.profile.split(".")[0]]}):
            resources.append(_profile_arn(region, location, account, guardrail.profile))
    return [allow("AskGuardrail", ["bedrock:ApplyGuardrail"], resources if len(resources) > 1 else guardrail.arn)]


def _profile_arn(region: str, location: Location, account: pulumi.Output[str], profile_id: str) -> pulumi.Output[str]:
    return pulumi.Output.format(f"arn:{location.partition}:bedrock:{region}:{{}}:guardrail-profile/{profile_id}", account)


def _arguments(settings: GuardrailSettings) -> dict[str, Any]:
    """The arguments that say what the guardrail looks for. What has a default is given, too: where it is left out at an
    update, the provider keeps what was there.
    """
    found: dict[str, Any] = {}
    tier = {"tier_configs": [{"tier_name": settings.tier}]}
    if settings.content:
        # A prompt attack is in a prompt; AWS takes no other strength for answers.
        filters = [
            {"type": kind, "input_strength": strength, "output_strength": "NONE" if kind == "PROMPT_ATTACK" else strength}
            for kind, strength in settings.content.items()
        ]
        found["content_policy_config"] = {"filters_configs": filters, **tier}
    if settings.topics:
        topics = [
            {
                "name": topic.name,
                "definition": topic.definition,
                "type": "DENY",
                "examples": list(topic.examples),
            }
            for topic in settings.topics
        ]
        found["topic_policy_config"] = {"topics_configs": topics, **tier}
    if settings.words or settings.profanity:
        words = {"words_configs": [{"text": word} for word in settings.words]} if settings.words else {}
        profanity = {"managed_word_lists_configs": [{"type": "PROFANITY"}]} if settings.profanity else {}
        found["word_policy_config"] = {**words, **profanity}
    if settings.pii or settings.regexes:
        entities = [{"type": kind, **_on_both_sides(action)} for kind, action in settings.pii.items()]
        # The provider takes no empty description.
        described = [{"description": regex.name, **regex.model_dump(exclude_none=True)} for regex in settings.regexes]
        regexes = [{**regex, **_on_both_sides(regex["action"])} for regex in described]
        found["sensitive_information_policy_config"] = {
            **({"pii_entities_configs": entities} if entities else {}),
            **({"regexes_configs": regexes} if regexes else {}),
        }
    return found


def _on_both_sides(action: str) -> dict[str, Any]:
    """The action for prompts and answers. With `action` alone, AWS lets personal data in prompts pass.

    https://github.com/awslabs/generative-ai-cdk-constructs/issues/1138
    """
    sides = ("input", "output")
    return {"action": action, **{f"{side}_action": action for side in sides}, **{f"{side}_enabled": True for side in sides}}
