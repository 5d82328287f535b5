"""ApplyGuardrail as the local run plays it, for the guardrails that the program makes.

What it finds depends on the guardrail's settings and the text alone. Words, regular expressions and the kinds of personal data
that have a form are found as AWS finds them. A denied topic is found where a text has all longer words of its name or of one of
its examples, a content filter by a few phrases (`CONTENT_PHRASES`). Contextual grounding is not played.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.upstreams.bedrock.converse_request import input_shape, read_document
from pulumi_llm_local.upstreams.bedrock.errors import BedrockError, validation_error
from pulumi_llm_local.upstreams.model import Json

GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
GUARDRAIL_VERSION = "aws:bedrock/guardrailVersion:GuardrailVersion"
OPERATION = re.compile(r"/guardrail/(?P<guardrail>[^/]+)/version/(?P<version>[^/]+)/apply")

# What each content filter is found by.
CONTENT_PHRASES: Mapping[str, tuple[str, ...]] = {
    "HATE": ("deserve to be hated",),
    "INSULTS": ("you idiot",),
    "SEXUAL": ("sexually explicit",),
    "VIOLENCE": ("build a bomb",),
    "MISCONDUCT": ("launder money",),
    "PROMPT_ATTACK": ("ignore all previous instructions", "ignore previous instructions"),
}
PROFANITY = ("damn",)
_PII: Mapping[str, re.Pattern[str]] = {
    "EMAIL": re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"),
    "PHONE": re.compile(r"\+\d{8,15}|\b\d{3}-\d{3}-\d{4}\b"),
    "CREDIT_DEBIT_CARD_NUMBER": re.compile(r"\b\d{4}([ -]?\d{4}){3}\b"),
    "US_SOCIAL_SECURITY_NUMBER": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER": re.compile(r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}\b"),
    "IP_ADDRESS": re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"),
    "MAC_ADDRESS": re.compile(r"\b[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}\b"),
    "AWS_ACCESS_KEY": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "URL": re.compile(r"\bhttps?://\S+"),
}
_CHARACTERS_PER_UNIT = 1_000


@dataclass(frozen=True)
class GuardrailRules:
    """The settings of a guardrail, in the words of CreateGuardrail."""

    settings: Json

    def of(self, policy: str, members: str) -> list[Json]:
        """The entries of a policy, such as ``topicPolicyConfig``, in one of its lists, such as ``topicsConfigs``."""
        config: Json = self.settings.get(policy) or {}
        return config.get(members) or []


def guardrails_of(graph: Graph) -> dict[tuple[str, str], GuardrailRules]:
    """Return the guardrails of a program by their ids and ARNs, and their versions. A version is as the draft is now."""
    found: dict[tuple[str, str], GuardrailRules] = {}
    for resource in graph.of_type(GUARDRAIL):
        versions = [
            each for each in graph.of_type(GUARDRAIL_VERSION) if each.state["guardrailArn"] == resource.state["guardrailArn"]
        ]
        for name in (resource.state["guardrailId"], resource.state["guardrailArn"]):
            for version in ("DRAFT", *(each.state["version"] for each in versions)):
                found[name, version] = GuardrailRules(dict(resource.inputs))
    return found


def apply(
    guardrails: Mapping[tuple[str, str], GuardrailRules], identifier: str, version: str, body: bytes
) -> tuple[Json, Mapping[str, str]]:
    """Return the answer to a request, and its headers. Raises `BedrockError`."""
    document = read_document(input_shape("ApplyGuardrail"), body)
    rules = guardrails.get((identifier, version))
    if rules is None:
        message = "The guardrail identifier or version provided in the request does not exist."
        raise BedrockError(404, "ResourceNotFoundException", message)
    blocks = cast("list[Json]", document["content"])
    if not blocks:
        raise validation_error("The content must hold at least one block.")
    texts = [cast(str, block["text"]["text"]) for block in blocks if block.get("text")]
    return assess(rules, document["source"], texts), {}


def assess(rules: GuardrailRules, source: str, texts: Sequence[str]) -> Json:
    """Return what a guardrail says of texts, as ApplyGuardrail's answer."""
    masked = list(texts)
    side = "input" if source == "INPUT" else "output"
    assessment: Json = {}
    for policy, name, entries in (
        ("topicPolicy", "topics", _topics(rules, side, texts)),
        ("contentPolicy", "filters", _content(rules, side, texts)),
        ("wordPolicy", "customWords", _words(rules.of("wordPolicyConfig", "wordsConfigs"), side, texts)),
        ("wordPolicy", "managedWordLists", _managed(rules, side, texts)),
        ("sensitiveInformationPolicy", "piiEntities", _pii(rules, side, masked)),
        ("sensitiveInformationPolicy", "regexes", _regexes(rules, side, masked)),
    ):
        if found := list(entries):
            assessment.setdefault(policy, {})[name] = found
    for policy, lists in _REQUIRED_LISTS.items():
        if policy in assessment:
            assessment[policy] = {**{name: list[Json]() for name in lists}, **assessment[policy]}
    actions = {entry["action"] for policy in assessment.values() for entries in policy.values() for entry in entries}
    settings = rules.settings
    units = -(-sum(map(len, texts)) // _CHARACTERS_PER_UNIT)
    usage = {
        "topicPolicyUnits": units if settings.get("topicPolicyConfig") else 0,
        "contentPolicyUnits": units if settings.get("contentPolicyConfig") else 0,
        "wordPolicyUnits": units if settings.get("wordPolicyConfig") else 0,
        "sensitiveInformationPolicyUnits": units if rules.of("sensitiveInformationPolicyConfig", "piiEntitiesConfigs") else 0,
        "sensitiveInformationPolicyFreeUnits": units if rules.of("sensitiveInformationPolicyConfig", "regexesConfigs") else 0,
        "contextualGroundingPolicyUnits": 0,
    }
    outputs: list[str] = []
    if "BLOCKED" in actions:
        outputs = [settings["blockedInputMessaging" if side == "input" else "blockedOutputsMessaging"]]
    elif "ANONYMIZED" in actions:
        outputs = masked
    intervened = bool(outputs)
    return {
        "usage": usage,
        "action": "GUARDRAIL_INTERVENED" if intervened else "NONE",
        "actionReason": ("Guardrail blocked." if "BLOCKED" in actions else "Guardrail masked.") if intervened else "No action.",
        "outputs": [{"text": text} for text in outputs],
        "assessments": [assessment] if assessment else [],
    }


_REQUIRED_LISTS: Mapping[str, tuple[str, ...]] = {
    "wordPolicy": ("customWords", "managedWordLists"),
    "sensitiveInformationPolicy": ("piiEntities", "regexes"),
}


def _action(entry: Json, side: str, *, personal: bool = False) -> str | None:
    """Return what an entry does on one side, None where it is off there.

    `personal`: an entry of personal data with no more than `action` is off for prompts, as AWS deploys it.
    https://github.com/awslabs/generative-ai-cdk-constructs/issues/1138
    """
    if entry.get(f"{side}Enabled") is False:
        return None
    if personal and side == "input" and "inputAction" not in entry and "inputEnabled" not in entry:
        return None
    action = entry.get(f"{side}Action") or entry.get("action") or "BLOCK"
    return {"BLOCK": "BLOCKED", "ANONYMIZE": "ANONYMIZED"}.get(action, "NONE")


def _topics(rules: GuardrailRules, side: str, texts: Sequence[str]) -> Iterator[Json]:
    for topic in rules.of("topicPolicyConfig", "topicsConfigs"):
        action = _action(topic, side)
        phrases = (topic["name"], *(topic.get("examples") or ()))
        if action and any(_has_words(text, phrase) for text in texts for phrase in phrases):
            yield {"name": topic["name"], "type": "DENY", "action": action, "detected": True}


def _has_words(text: str, phrase: str) -> bool:
    wanted = set(re.findall(r"\w{4,}", phrase.lower()))
    return bool(wanted) and wanted <= set(re.findall(r"\w+", text.lower()))


def _content(rules: GuardrailRules, side: str, texts: Sequence[str]) -> Iterator[Json]:
    for entry in rules.of("contentPolicyConfig", "filtersConfigs"):
        kind, strength, action = entry["type"], entry[f"{side}Strength"], _action(entry, side)
        found = any(phrase in text.lower() for text in texts for phrase in CONTENT_PHRASES.get(kind, ()))
        if action and strength != "NONE" and found:
            yield {"type": kind, "confidence": "HIGH", "filterStrength": strength, "action": action, "detected": True}


def _words(entries: Iterable[Json], side: str, texts: Sequence[str]) -> Iterator[Json]:
    for entry in entries:
        action = _action(entry, side)
        for match in _matches(rf"(?i)\b{re.escape(entry['text'])}\b", texts) if action else ():
            yield {"match": match, "action": action, "detected": True}


def _managed(rules: GuardrailRules, side: str, texts: Sequence[str]) -> Iterator[Json]:
    for entry in rules.of("wordPolicyConfig", "managedWordListsConfigs"):
        words = ({**entry, "text": word} for word in PROFANITY)
        yield from ({**found, "type": entry["type"]} for found in _words(words, side, texts))


def _pii(rules: GuardrailRules, side: str, texts: list[str]) -> Iterator[Json]:
    for entry in rules.of("sensitiveInformationPolicyConfig", "piiEntitiesConfigs"):
        kind, action = entry["type"], _action(entry, side, personal=True)
        if action and kind in _PII:
            found = _masked(texts, _PII[kind], kind, action)
            yield from ({"type": kind, "match": match, "action": action, "detected": True} for match in found)


def _regexes(rules: GuardrailRules, side: str, texts: list[str]) -> Iterator[Json]:
    for entry in rules.of("sensitiveInformationPolicyConfig", "regexesConfigs"):
        action = _action(entry, side, personal=True)
        if action:
            found = _masked(texts, re.compile(entry["pattern"]), entry["name"], action)
            names = {"name": entry["name"], "regex": entry["pattern"]}
            yield from ({**names, "match": match, "action": action, "detected": True} for match in found)


def _masked(texts: list[str], pattern: re.Pattern[str], name: str, action: str) -> list[str]:
    """Replace what the pattern finds where the action says so. Returns what it has found."""
    found = _matches(pattern, texts)
    if action == "ANONYMIZED":
        replace: Callable[[str], str] = lambda text: pattern.sub(f"{{{name}}}", text)  # noqa: E731
        texts[:] = map(replace, texts)
    return found


def _matches(pattern: str | re.Pattern[str], texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(match[0] for text in texts for match in re.finditer(pattern, text)))
