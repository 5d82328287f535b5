"""The tags of a component's resources, checked as AWS takes them."""

import unicodedata
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from pulumi_llm.base.inputs import Input
from pulumi_llm.base.problems import shown

# What AWS takes as tags. https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
MOST_TAGS = 50
OWN_TAG = "Component"


def tag_key(key: str) -> str:
    if key.lower().startswith("aws:"):
        raise ValueError(f"{shown(key)} begins with 'aws:', which AWS keeps for itself; give another key")
    if not 1 <= len(key) <= 128:
        raise ValueError(f"a tag's key must have from 1 to 128 characters, not {len(key)}")
    _check_characters(key)
    return key


def tag_value(value: str) -> str:
    if len(value) > 256:
        raise ValueError(f"a tag's value must have at most 256 characters, not {len(value)}")
    _check_characters(value)
    return value


def _tags(tags: Mapping[str, Any]) -> Mapping[str, Any]:
    reason = tags_reason({OWN_TAG, *tags})
    if reason:
        raise ValueError(reason)
    return tags


def tags_reason(keys: Collection[str]) -> str:
    """What is wrong with a resource's tags together, the component's own included; empty where nothing is."""
    if len(keys) > MOST_TAGS:
        return f"AWS takes {MOST_TAGS} tags of a resource, and with the component's own these are {len(keys)}; give fewer"
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
    seen: dict[str, str] = {}
    for key in sorted(keys):
        if key.lower() in seen:
            return f"{seen[key.lower()]!r} and {key!r} are one key for IAM, which tells no capitals; give one of them"
        seen[key.lower()] = key
    return ""


def _check_characters(text: str) -> None:
    wrong = next((c for c in text if c not in "_.:/=+-@" and unicodedata.category(c)[0] not in "LNZ"), None)
    if wrong is not None:
        raise ValueError(f"{shown(text)} holds {wrong!r}; AWS takes letters, digits, spaces and _ . : / = + - @")


TagKey = Annotated[str, AfterValidator(tag_key)]
TagValue = Annotated[str, AfterValidator(tag_value)]
Tags = Annotated[Mapping[TagKey, Input[TagValue]], AfterValidator(_tags)]
