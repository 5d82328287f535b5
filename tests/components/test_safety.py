"""What conversations are checked for: the settings, the guardrail that is made of them, and what the functions are told."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pulumi
import pytest

from llm_gateway.routes import ROUTES_FILE, load
from llm_gateway.safety import Filter, GuardrailUse, Safety
from pulumi_llm.api_edge.guardrail_policies import CONTENT_FILTERS, PII_ENTITIES
from pulumi_llm.api_edge.patterns import pattern_problem
from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApi
from pulumi_llm.websocket_chat import WebSocketChat
from pulumi_llm_local.aws_types.api_model import service_model
from support import programs
from support.programs import MODELS, Recording

ARN = "arn:aws:bedrock:us-east-1:123456789012:guardrail/abcdefghijkl"
GUARDRAIL: dict[str, Any] = {
    "content": {"VIOLENCE": "HIGH", "PROMPT_ATTACK": "MEDIUM"},
    "topics": [{"name": "Investments", "definition": "Advice on what to buy.", "examples": ["Which shares?"]}],
    "words": ["Voldemort"],
    "profanity": True,
    "pii": {"EMAIL": "ANONYMIZE", "PASSWORD": "BLOCK"},
    "regexes": [{"name": "ticket", "pattern": r"TICKET-\d{4}"}],
}


def api(**safety: Any) -> Recording:
    args: Any = {"models": MODELS, "safety": safety}
    return programs.run(lambda: ServerlessBedrockApi("chat", args))


def refusals(safety: Any, kind: Any = ServerlessBedrockApi) -> str:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        programs.run(lambda: kind("chat", {"models": MODELS, "safety": safety}))
    return str(refused.value)


def routes(recording: Recording, function: str) -> Safety | None:
    inputs = recording.inputs(function)
    return load(Path(inputs["code"].path) / ROUTES_FILE, inputs["environment"]["variables"]).safety


def test_nothing_is_made_without_it() -> None:
    args: Any = {"models": MODELS}
    plain = programs.run(lambda: ServerlessBedrockApi("chat", args))
    assert not any("guardrail" in name for name in plain.names()) and routes(plain, "chat-function") is None
    assert plain.named("chat").outputs["guardrail_arn"] == plain.named("chat").outputs["guardrail_version"] == ""


def test_filters_as_the_function_reads_them() -> None:
    recording = api(
        length={"max_characters": 20_000},
        control_characters={"mode": "mask"},
        injection={"patterns": {"codes": "launch codes?"}, "mode": "shadow"},
        pii={"email": "mask", "us_ssn": "block", "iban": "mask"},
    )
    assert routes(recording, "chat-function") == Safety(
        (
            Filter("length", most=20_000),
            Filter("control_characters", "mask"),
            Filter("injection", "shadow", patterns={"codes": "launch codes?"}),
            Filter("pii", "block", kinds=("us_ssn",)),
            Filter("pii", "mask", kinds=("email", "iban")),
        )
    )
    assert not any("guardrail" in name for name in recording.names())


def test_a_guardrail_is_made_with_a_version_which_the_function_asks() -> None:
    recording = api(guardrail={**GUARDRAIL, "mode": "shadow", "on_failure": "allow", "window_characters": 500})
    inputs = recording.inputs("chat-guardrail")
    assert inputs["contentPolicyConfig"] == {
        "filtersConfigs": [
            {"type": "VIOLENCE", "inputStrength": "HIGH", "outputStrength": "HIGH"},
            {"type": "PROMPT_ATTACK", "inputStrength": "MEDIUM", "outputStrength": "NONE"},
        ],
        "tierConfigs": [{"tierName": "CLASSIC"}],
    }
    (topic,) = inputs["topicPolicyConfig"]["topicsConfigs"]
    assert (topic["name"], topic["type"], topic["examples"]) == ("Investments", "DENY", ["Which shares?"])
    assert inputs["wordPolicyConfig"] == {
        "wordsConfigs": [{"text": "Voldemort"}],
        "managedWordListsConfigs": [{"type": "PROFANITY"}],
    }
    assert inputs["sensitiveInformationPolicyConfig"] == {
        "piiEntitiesConfigs": [{"type": "EMAIL", **both("ANONYMIZE")}, {"type": "PASSWORD", **both("BLOCK")}],
        # A description is always there, see test_what_is_left_out_of_a_guardrail_is_taken_out_of_it.
        "regexesConfigs": [{"name": "ticket", "description": "ticket", "pattern": r"TICKET-\d{4}", **both("ANONYMIZE")}],
    }
    guardrail, version = recording.named("chat-guardrail").state, recording.named("chat-guardrail-version").state
    assert recording.inputs("chat-guardrail-version")["guardrailArn"] == guardrail["guardrailArn"]
    variables = recording.inputs("chat-function")["environment"]["variables"]
    assert variables["GUARDRAIL_ARN"] == guardrail["guardrailArn"] and variables["GUARDRAIL_VERSION"] == version["version"]
    (statement,) = json.loads(recording.inputs("chat-guardrail-policy")["policy"])["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["bedrock:ApplyGuardrail"], guardrail["guardrailArn"])
    assert routes(recording, "chat-function") == Safety((), GuardrailUse(shadow=True, fail_open=True, window_characters=500))
    outputs = recording.named("chat").outputs
    assert (outputs["guardrail_arn"], outputs["guardrail_version"]) == (guardrail["guardrailArn"], version["version"])


def test_a_guardrail_for_attacks_alone_is_not_asked_of_answers() -> None:
    for more, expected in (({}, False), ({"answers": True}, True), ({"words": ["x"]}, True)):
        recording = api(guardrail={"content": {"PROMPT_ATTACK": "HIGH", "HATE": "NONE"}, **more})
        assert routes(recording, "chat-function") == Safety((), GuardrailUse(answers=expected))


@pytest.mark.assumes("guardrail-empty")
def test_what_is_left_out_of_a_guardrail_is_taken_out_of_it() -> None:
    """The provider keeps what an update leaves out of a topic or an expression, so nothing is left out."""
    topic = {"name": "Investments", "definition": "Advice on what to buy."}
    regexes = [{"name": "a", "pattern": "A"}, {"name": "b", "pattern": "B", "description": "Numbers of tickets."}]
    made = api(guardrail={"topics": [topic], "regexes": regexes}).inputs("chat-guardrail")
    assert made["topicPolicyConfig"]["topicsConfigs"] == [{**topic, "type": "DENY", "examples": []}]
    given = made["sensitiveInformationPolicyConfig"]["regexesConfigs"]
    assert [each["description"] for each in given] == ["a", "Numbers of tickets."]


def test_a_name_leaves_room_for_the_guardrails() -> None:
    long = "x" * 33
    with pytest.raises(pulumi.InputPropertiesError, match="at most 32 leave room for '-guardrail'"):
        programs.run(lambda: ServerlessBedrockApi(long, {"models": MODELS, "safety": {"guardrail": GUARDRAIL}}))
    own: Any = {"models": MODELS, "safety": {"guardrail": GUARDRAIL}, "customize": {"guardrail": {"name": "checks"}}}
    programs.run(lambda: ServerlessBedrockApi(long, own))
    programs.run(lambda: ServerlessBedrockApi(long, {"models": MODELS}))


def both(action: str) -> dict[str, Any]:
    """With `action` alone, AWS deploys personal data as off for prompts."""
    return {"action": action, "inputAction": action, "outputAction": action, "inputEnabled": True, "outputEnabled": True}


def description(**guardrail: Any) -> str:
    return api(guardrail=guardrail).inputs("chat-guardrail-version")["description"]


@pytest.mark.assumes("guardrail-version")
def test_a_version_is_made_anew_where_the_guardrail_changes_and_only_then() -> None:
    assert description(**GUARDRAIL) == description(**GUARDRAIL, mode="shadow", window_seconds=5)
    for change in ({"words": ["Sauron"]}, {"content": {"VIOLENCE": "LOW"}}, {"profanity": False}):
        assert description(**GUARDRAIL) != description(**{**GUARDRAIL, **change})


def test_a_guardrail_that_is_given_is_only_asked() -> None:
    recording = api(guardrail={"arn": ARN, "version": "7"})
    assert "chat-guardrail" not in recording.names() and "chat-guardrail-version" not in recording.names()
    variables = recording.inputs("chat-function")["environment"]["variables"]
    assert (variables["GUARDRAIL_ARN"], variables["GUARDRAIL_VERSION"]) == (ARN, "7")
    (statement,) = json.loads(recording.inputs("chat-guardrail-policy")["policy"])["Statement"]
    assert statement["Resource"] == ARN


def test_a_guardrail_across_regions() -> None:
    recording = api(guardrail={**GUARDRAIL, "cross_region": True, "tier": "STANDARD"})
    inputs = recording.inputs("chat-guardrail")
    # The provider takes the profile's ARN alone.
    arn = "arn:aws:bedrock:us-east-1:123456789012:guardrail-profile/us.guardrail.v1:0"
    assert inputs["crossRegionConfig"] == {"guardrailProfileIdentifier": arn}
    assert (
        inputs["contentPolicyConfig"]["tierConfigs"] == inputs["topicPolicyConfig"]["tierConfigs"] == [{"tierName": "STANDARD"}]
    )
    (statement,) = json.loads(recording.inputs("chat-guardrail-policy")["policy"])["Statement"]
    profile = "arn:aws:bedrock:{}:123456789012:guardrail-profile/us.guardrail.v1:0"
    assert statement["Resource"][1:] == [profile.format(region) for region in ("us-east-1", "us-east-2", "us-west-2")]


def test_a_websocket_api_asks_the_same_way() -> None:
    safety: Any = {"pii": {"email": "mask"}, "guardrail": GUARDRAIL}
    args: Any = {"models": MODELS, "safety": safety}
    recording = programs.run(lambda: WebSocketChat("ws", args))
    assert routes(recording, "ws-generations-function") == Safety((Filter("pii", "mask", kinds=("email",)),), GuardrailUse())
    guardrail = recording.named("ws-guardrail").state["guardrailArn"]
    assert recording.inputs("ws-generations-function")["environment"]["variables"]["GUARDRAIL_ARN"] == guardrail
    statements = json.loads(recording.inputs("ws-generations-policy")["policy"])["Statement"]
    (asks,) = [each for each in statements if each["Sid"] == "AskGuardrail"]
    assert (asks["Action"], asks["Resource"]) == (["bedrock:ApplyGuardrail"], guardrail)
    for function in ("connections", "recovery"):
        assert "GUARDRAIL_ARN" not in recording.inputs(f"ws-{function}-function")["environment"]["variables"]


# Settings, and what is said of them.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no bound": ({"length": {}}, "safety.length.max_characters: is required"),
    "a length that cannot be masked": ({"length": {"max_characters": 9, "mode": "mask"}}, "safety.length.mode:"),
    "nothing to look for": ({"injection": {"builtin": False}}, "safety.injection.builtin: is false, and there are no patterns"),
    "no expression": ({"injection": {"patterns": {"a": "("}}}, "is no regular expression"),
    "a slow expression": ({"injection": {"patterns": {"a": "(a+)+b"}}}, "has a repetition without a bound"),
    "an unknown kind": ({"pii": {"shoe_size": "mask"}}, "one of email"),
    "an unknown mode": ({"pii": {"email": "hide"}}, 'which is "block", "mask" or "shadow"'),
    "an empty guardrail": ({"guardrail": {}}, "safety.guardrail.content: is missing"),
    "an ARN without a version": ({"guardrail": {"arn": ARN}}, "safety.guardrail.version: is required with arn"),
    "a version without an ARN": ({"guardrail": {**GUARDRAIL, "version": "1"}}, "safety.guardrail.version: is that of"),
    "both": ({"guardrail": {"arn": ARN, "version": "1", "words": ["x"]}}, "safety.guardrail.words: is of a guardrail that"),
    "another Region's": (
        {"guardrail": {"arn": ARN.replace("us-east-1", "eu-west-1"), "version": "1"}},
        "safety.guardrail.arn: is in eu-west-1; give one in us-east-1",
    ),
    "no ARN": ({"guardrail": {"arn": "abcdefghijkl", "version": "1"}}, "is not of the form of a guardrail's ARN"),
    "an unknown content filter": ({"guardrail": {"content": {"RUDE": "HIGH"}}}, "one of SEXUAL"),
    "an unknown strength": ({"guardrail": {"content": {"HATE": "MAX"}}}, "NONE, LOW, MEDIUM or HIGH"),
    "an unknown entity": ({"guardrail": {"pii": {"SHOE": "BLOCK"}}}, "one of the PII entities"),
    "a long definition": (
        {"guardrail": {"topics": [{"name": "a", "definition": "x" * 201}]}},
        "safety.guardrail.topics[0].definition: has 201 characters, and may have 200",
    ),
    "a very long definition": (
        {"guardrail": {"topics": [{"name": "a", "definition": "x" * 1001}], "tier": "STANDARD", "cross_region": True}},
        "safety.guardrail.topics[0].definition",
    ),
    "system prompts alone": (
        {"guardrail": {**GUARDRAIL, "prompts": False, "system_prompts": True}},
        "safety.guardrail.system_prompts: are prompts, and prompts is false",
    ),
    "only attacks, and no prompts": (
        {"guardrail": {"content": {"PROMPT_ATTACK": "HIGH"}, "prompts": False}},
        "safety.guardrail.prompts: and answers are false",
    ),
    "a topic twice": (
        {"guardrail": {"topics": [{"name": "a", "definition": "x"}, {"name": "a", "definition": "y"}]}},
        "safety.guardrail.topics[1].name: 'a' is there already",
    ),
    "a tier of other Regions": ({"guardrail": {**GUARDRAIL, "tier": "STANDARD"}}, "safety.guardrail.tier: 'STANDARD' needs"),
    "nothing to check": (
        {"guardrail": {**GUARDRAIL, "prompts": False, "answers": False}},
        "safety.guardrail.prompts: and answers are false",
    ),
}


@pytest.mark.parametrize(("safety", "reason"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_at_preview(safety: dict[str, Any], reason: str) -> None:
    assert reason in refusals(safety)


# https://github.com/swisskyrepo/PayloadsAllTheThings and others: expressions that a text can make slow.
SLOW = [
    r"(a+)+$",
    r"(a|a)*b",
    r"\s+x",
    r".*ignore.*",
    r"(\w{1,30}){1,30}x",
    r"\w{0,100}\w{0,100}x",
    r"(a)\1",
    r"(?:a{0,50}){0,50}b",
]


@pytest.mark.parametrize("pattern", SLOW)
def test_a_slow_expression_is_refused(pattern: str) -> None:
    assert pattern_problem(pattern)


FINE = [
    r"launch codes?",
    r"\bproject (?:blue|red) \w{1,30}\b",
    r"(?i)internal[- ]only",
    r"[A-Z]{2}-\d{6}",
    r"a.{0,80}b",
    r"(?<!\w)x(?!y)",
]


@pytest.mark.parametrize("pattern", FINE)
def test_a_plain_expression_is_taken_and_fast(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    compiled = re.compile(pattern)
    began = time.process_time()
    for text in ("a" * 100_000, "project blue " * 8_000, "A1-" * 30_000, " " * 100_000):
        compiled.search(text)
    assert time.process_time() - began < 10


def test_an_expression_of_everything_is_refused() -> None:
    assert "matches an empty text" in str(pattern_problem("a{0,5}"))


def test_the_names_are_those_of_aws() -> None:
    model = service_model("bedrock")
    assert model is not None
    shape = model.operation_model("CreateGuardrail").input_shape.members
    entity = shape["sensitiveInformationPolicyConfig"].members["piiEntitiesConfig"].member.members["type"]
    assert set(PII_ENTITIES) == set(entity.metadata["enum"])
    filters = shape["contentPolicyConfig"].members["filtersConfig"].member.members["type"]
    assert set(CONTENT_FILTERS) == set(filters.metadata["enum"])
