"""What conversations are checked for: as settings, and as the functions read them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, Field

from llm_gateway import environment as variables
from llm_gateway import safety as document
from llm_gateway.stages.prompt_filters import PII
from pulumi_llm.api_edge.guardrail_policies import CONTENT_FILTERS, PII_ENTITIES, PROFILES, profile
from pulumi_llm.api_edge.patterns import pattern_problem
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import Between, Count, Flag, Input, Name, Number, Problem, Settings, form, valid_items
from pulumi_llm.routing import Routing

BlockOrShadow = Literal["block", "shadow"]
Mode = Literal["block", "mask", "shadow"]


def _pattern(value: str) -> str:
    if (problem := pattern_problem(value)) is not None:
        raise ValueError(f"{value!r} {problem}")
    return value


_Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_pattern)]
_PiiKind = Annotated[str, form("|".join(PII), f"a kind of personal data, which is one of {', '.join(PII)}")]
_ModeText = Annotated[str, form("block|mask|shadow", 'a mode, which is "block", "mask" or "shadow"')]


class LengthFilterSettings(Settings):
    """How long a prompt may be."""

    max_characters: Annotated[Count, Between(1, 10_000_000)]
    """The most characters of all its texts together: messages, system prompt, tools and their results."""
    mode: BlockOrShadow = "block"
    """"block", or "shadow", which only logs it."""


class ControlCharacterFilterSettings(Settings):
    """Characters that nobody sees, by which texts are hidden or turned around: control characters but tabs and line ends, marks
    of direction, characters of no width, Unicode's tags."""

    mode: Mode = "block"
    """"block", "mask", which takes them out, or "shadow", which only logs it."""


class InjectionFilterSettings(Settings):
    """Words by which a text tries to give the model other instructions. They are looked for in small letters, with one space
    between words."""

    mode: BlockOrShadow = "block"
    """"block", or "shadow", which only logs it."""
    builtin: Flag = True
    """Look for the known ones, which docs/safety.md lists."""
    patterns: Annotated[Mapping[Name, _Pattern], Field(max_length=50)] = Field(default_factory=dict)
    """More of them: regular expressions by names of your own. Repetitions need bounds. Default: none."""

    def problems(self) -> Iterator[Problem]:
        if self.builtin is False and not self.given("patterns"):
            yield Problem("builtin", "is false, and there are no patterns; nothing would be looked for")


_Strength = Annotated[str, form("NONE|LOW|MEDIUM|HIGH", "a strength, which is NONE, LOW, MEDIUM or HIGH")]
_ContentFilter = Annotated[
    str, form("|".join(CONTENT_FILTERS), f"a content filter, which is one of {', '.join(CONTENT_FILTERS)}")
]
_PiiEntity = Annotated[str, form("|".join(PII_ENTITIES), "one of the PII entities of Bedrock's guardrails, such as EMAIL")]
_Action = Annotated[str, form("BLOCK|ANONYMIZE|NONE", "an action, which is BLOCK, ANONYMIZE or NONE")]
# Bounds of a guardrail: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateGuardrail.html and the pages of its
# policies.
_Word = Annotated[str, Field(min_length=1, max_length=100)]
_Arn = Annotated[
    str,
    form(
        r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:guardrail/[a-z0-9]+",
        "a guardrail's ARN, such as arn:aws:bedrock:us-east-1:ACCOUNT:guardrail/ID",
    ),
]
_Version = Annotated[str, form("[1-9][0-9]{0,7}|DRAFT", 'a version, a number in quotes, or "DRAFT"')]


class GuardrailTopicSettings(Settings):
    """A topic that is denied."""

    name: Annotated[str, form(r"[0-9a-zA-Z\-_ !?.]{1,100}", "a topic's name: letters, digits, spaces and - _ ! ? .")]
    """Its name, which an error tells."""
    definition: Annotated[str, Field(min_length=1, max_length=1_000)]
    """What it is about, in a sentence or two: at most 200 characters, or 1,000 with tier "STANDARD"."""
    examples: Annotated[tuple[_Word, ...], Field(max_length=5)] = ()
    """Prompts about it, at most 5. Default: none."""


class GuardrailRegexSettings(Settings):
    """A regular expression of a guardrail, which AWS evaluates."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Its name, which an error tells, and which stands in braces where a text is masked."""
    pattern: Annotated[str, Field(min_length=1, max_length=500)]
    """The expression, without lookarounds."""
    action: _Action = "ANONYMIZE"
    """"BLOCK", "ANONYMIZE", which masks it, or "NONE", which only logs it."""
    description: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    """What it is for."""


class GuardrailSettings(Settings):
    """A guardrail of Bedrock's, which checks prompts and answers of every provider: one that is made here, or one given by
    `arn` and `version`."""

    regional = ("arn",)

    arn: Input[_Arn] | None = None
    """The ARN of a guardrail that is there already, in the component's Region. Default: one is made of the settings below."""
    version: Input[_Version] | None = None
    """Its version. Required with `arn`."""
    content: Mapping[_ContentFilter, _Strength] = Field(default_factory=dict)
    """Content filters with their strengths, such as {"VIOLENCE": "HIGH", "PROMPT_ATTACK": "HIGH"}; PROMPT_ATTACK is for prompts
    alone. Default: none."""
    topics: Annotated[tuple[GuardrailTopicSettings, ...], Field(max_length=30)] = ()
    """Topics that are denied. Default: none."""
    words: Annotated[tuple[_Word, ...], Field(max_length=10_000)] = ()
    """Words and phrases that are blocked. Default: none."""
    profanity: Flag = False
    """Block what is in AWS's list of profanities."""
    pii: Mapping[_PiiEntity, _Action] = Field(default_factory=dict)
    """Personal data by AWS's kinds, such as {"EMAIL": "ANONYMIZE", "PASSWORD": "BLOCK"}. Default: none."""
    regexes: Annotated[tuple[GuardrailRegexSettings, ...], Field(max_length=10)] = ()
    """Regular expressions. Default: none."""
    cross_region: Flag = False
    """Let AWS evaluate in other Regions of the geography, which tier "STANDARD" needs. With `arn`: it is such a guardrail."""
    tier: Literal["CLASSIC", "STANDARD"] = "CLASSIC"
    """AWS's tier of content filters and topics; "STANDARD" knows more languages."""
    mode: BlockOrShadow = "block"
    """"block", or "shadow", in which nothing is blocked, masked or delayed, and what would be is logged."""
    on_failure: Literal["block", "allow"] = "block"
    """What happens where the guardrail cannot be asked: the call fails with 503, or goes on unchecked."""
    prompts: Flag = True
    """Check prompts: every text of a request."""
    system_prompts: Flag = True
    """Check system prompts and the descriptions of tools, too. PROMPT_ATTACK may take them for attacks: with `false`, they are
    trusted, whoever has a key."""
    answers: Flag = True
    """Check answers: texts, reasoning, and the arguments of tool calls. Default: true, but for a guardrail that looks for
    PROMPT_ATTACK alone."""
    window_characters: Annotated[Count, Between(200, 25_000)] = 1_000
    """How much of a streamed answer is checked at once, in characters. AWS counts 1,000 or less as one text unit of each
    policy, and 100 are checked again with the next window."""
    window_seconds: Annotated[Number, Between(0.2, 30)] = 2.0
    """After how long what has come of a slow stream is checked, though the window is not full, in seconds."""

    def problems(self) -> Iterator[Problem]:
        made = [name for name in _POLICIES if self.given(name)]
        if self.given("arn"):
            if not self.given("version"):
                yield Problem("version", "is required with arn")
            for name in (*made, *(["tier"] if self.given("tier") else [])):
                yield Problem(name, "is of a guardrail that is made here, and arn gives one; leave one of them out")
        else:
            if self.given("version"):
                yield Problem("version", "is that of the guardrail that arn gives; one that is made here has its own")
            if not any(self.given(name) and getattr(self, name) for name in _POLICIES):
                yield Problem(
                    "content", "is missing: give what the guardrail looks for (content, topics, words, …), or its arn"
                )
        if self.tier == "STANDARD" and self.cross_region is False:
            yield Problem("tier", "'STANDARD' needs cross_region")
        if self.prompts is False and not self.checks_answers:
            yield Problem("prompts", "and answers are false; nothing would be checked")
        if self.prompts is False and self.given("system_prompts"):
            yield Problem("system_prompts", "are prompts, and prompts is false; leave it out")
        for index, topic in valid_items(self.topics):
            if self.tier == "CLASSIC" and topic.valid("definition") and len(topic.definition) > _CLASSIC_DEFINITION:
                length = f"has {len(topic.definition)} characters, and may have {_CLASSIC_DEFINITION}"
                yield Problem(f"topics[{index}].definition", f'{length}; or 1,000 with tier: "STANDARD" and cross_region: true')
            if topic.valid("name") and [each.name for _, each in valid_items(self.topics)].index(topic.name) < index:
                yield Problem(f"topics[{index}].name", f"{topic.name!r} is there already")

    def document(self, elsewhere: tuple[str, ...]) -> document.GuardrailUse:
        """How it is used, as the functions read it. It may evaluate `elsewhere`, too."""
        given = {name: getattr(self, name) for name in _USES if self.given(name) and self.valid(name)}
        given["answers"] = self.checks_answers
        shadow, fail_open = self.mode == "shadow", self.on_failure == "allow"
        return document.GuardrailUse(shadow=shadow, fail_open=fail_open, regions=elsewhere, **given)

    @property
    def checks_answers(self) -> bool:
        """Whether answers are checked: not for what looks at prompts alone, for that would be paid in vain."""
        if self.given("answers"):
            return self.answers is not False
        policies = [name for name in _POLICIES if self.given(name) and getattr(self, name)]
        content = {kind for kind, strength in (self.content or {}).items() if strength != "NONE"}
        return policies != ["content"] or content != {_ATTACK}


_ATTACK = "PROMPT_ATTACK"
# https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-denied-topics.html
_CLASSIC_DEFINITION = 200
_POLICIES = ("content", "topics", "words", "profanity", "pii", "regexes")
_USES = ("prompts", "system_prompts", "answers", "window_characters", "window_seconds")


class SafetySettings(Settings):
    """What conversations are checked for. Each check is off unless it is given."""

    length: LengthFilterSettings | None = None
    """How long a prompt may be. Default: as long as a body."""
    control_characters: ControlCharacterFilterSettings | None = None
    """Invisible characters in prompts. Default: not looked for."""
    injection: InjectionFilterSettings | None = None
    """Words of prompt injections. Default: not looked for."""
    pii: Mapping[_PiiKind, _ModeText] = Field(default_factory=dict)
    """Personal data in prompts that have a form, with what is done with them, such as {"email": "mask", "us_ssn": "block"}.
    docs/safety.md lists the kinds. Default: not looked for."""
    guardrail: GuardrailSettings | None = None
    """A guardrail of Bedrock's. Default: none."""

    def document(self, elsewhere: tuple[str, ...] = ()) -> document.Safety | None:
        """The checks as the functions read them; None where there are none. The guardrail may evaluate `elsewhere`, too."""
        filters: list[document.Filter] = []
        if self.length is not None and self.length.valid("max_characters", "mode"):
            filters.append(document.Filter("length", self.length.mode, most=self.length.max_characters))
        if self.control_characters is not None and self.control_characters.valid("mode"):
            filters.append(document.Filter("control_characters", self.control_characters.mode))
        if (injection := self.injection) is not None and injection.valid("mode"):
            patterns = {name: pattern for name, pattern in (injection.patterns or {}).items() if pattern}
            filters.append(document.Filter("injection", injection.mode, builtin=injection.builtin, patterns=patterns))
        kinds = {kind: mode for kind, mode in (self.pii or {}).items() if mode}
        for mode in ("block", "mask", "shadow"):
            if found := tuple(kind for kind in PII if kinds.get(kind) == mode):
                filters.append(document.Filter("pii", mode, kinds=found))
        guardrail = None if self.guardrail is None else self.guardrail.document(elsewhere)
        return document.Safety(tuple(filters), guardrail) if filters or guardrail else None


class CheckedSettings(Settings):
    """What a component says of safety."""

    safety: SafetySettings | None = None
    """What prompts and answers are checked for: length, invisible characters, injections, personal data, and by a guardrail of
    Bedrock's. Default: nothing."""

    def checked(self, routing: Routing, location: Location) -> Routing:
        """The routing, with what conversations are checked for."""
        safety = None if self.safety is None else self.safety.document(self.guardrail_regions(location))
        return routing if safety is None else routing._replace(routes=msgspec.structs.replace(routing.routes, safety=safety))

    @property
    def guardrail(self) -> GuardrailSettings | None:
        return None if self.safety is None else self.safety.guardrail

    @property
    def makes_guardrail(self) -> bool:
        return self.guardrail is not None and not self.guardrail.given("arn")

    def safety_beside(self, arn: Any, version: Any) -> dict[str, Any]:
        """The same for another component, which asks the guardrail of this one."""
        given = {} if self.safety is None else self.safety.model_dump(exclude_unset=True)
        if "guardrail" in given:
            kept = ("mode", "on_failure", "cross_region", *_USES)
            uses = {name: value for name, value in given["guardrail"].items() if name in kept}
            answers = self.guardrail is not None and self.guardrail.checks_answers
            given["guardrail"] = {**uses, "answers": answers, "arn": arn, "version": version}
        return given

    def guardrail_regions(self, location: Location) -> tuple[str, ...]:
        """Where the guardrail may evaluate besides the component's Region, as far as it is known."""
        geography = profile(location.region)
        return PROFILES[geography] if self.guardrail is not None and self.guardrail.cross_region and geography else ()

    def guardrail_problems(self, location: Location) -> Iterator[Problem]:
        """Yield what is wrong with the guardrail at a location."""
        if self.guardrail is not None and self.guardrail.cross_region and profile(location.region) is None:
            known = ", ".join(f"{name}-…" for name in PROFILES)
            yield Problem("safety.guardrail.cross_region", f"is known here for {known} only, and not for {location.region}")


def guardrail_variables(arn: Any, version: Any) -> dict[str, Any]:
    """The environment of a function that asks a guardrail."""
    return {variables.GUARDRAIL_ARN: arn, variables.GUARDRAIL_VERSION: version}
