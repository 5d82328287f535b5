"""What a rule refuses, and what it makes of a request and of its targets."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_functions.compose import policy
from llm_gateway import errors
from llm_gateway.call import model_call
from llm_gateway.embeddings import EmbeddingRequest
from llm_gateway.errors import GatewayError
from llm_gateway.events import Start
from llm_gateway.gateway import Gateway
from llm_gateway.identity.caller import ANONYMOUS, Caller
from llm_gateway.pipeline import answer
from llm_gateway.request import NEUTRAL, ChatRequest, Message, Sampling, Tool, ToolUse
from llm_gateway.router import Router
from llm_gateway.routes import BEDROCK, Alias, Endpoint, Routes, Target
from llm_gateway.rules import WEEKDAYS, Hours, Rule
from llm_gateway.stages.authorize import authorize
from llm_gateway.stages.policy import Policy
from support.chat_requests import request, user
from support.scripted_provider import FAR, Scripted, said, target

CALLER = Caller("acme", "web")


def _target(name: str, *regions: str, **more: Any) -> Target:
    return target(name, regions=regions, accepts=("max_tokens", "temperature", "top_p", "tools", "prompt_caching"), **more)


EU = _target("eu", "eu-central-1", "eu-west-1")
US, ANYWHERE = _target("us", "us-east-1", context_tokens=200_000), _target("anywhere", context_tokens=200_000)
ROUTES = Routes(
    (
        Alias("both", (EU, US, ANYWHERE), retries=0),
        Alias("us-only", (US,)),
        Alias("eu-only", (EU,)),
        Alias("vectors", (msgspec.structs.replace(EU, kind="embedding"),)),
    )
)


def rule(**more: Any) -> Rule:
    return msgspec.convert({"name": "strict", **more}, Rule)


class Decisions(list[str]):
    def __call__(self, rule: str, decision: str) -> None:
        self.append(f"{rule}: {decision}")


def applied(
    rules: list[Rule], asked: Any, caller: Caller = CALLER, clock: float = 0.0, caching: list[str] | None = None
) -> tuple[Any, Alias, list[str]]:
    decisions = Decisions()
    alias = authorize(caller, asked.model, ROUTES, asked.kind)
    found = Policy(rules, caching or [], clock=lambda: clock).apply(asked, alias, caller, ROUTES, decisions)
    return *found, decisions


# Whom a rule is for.

ROLE = "arn:aws:sts::123456789012:assumed-role/batch"
# The rule's matcher, the caller -> whether the rule is for it.
MATCHED: dict[str, tuple[dict[str, Any], Caller, bool]] = {
    "all": ({}, CALLER, True),
    "nobody known": ({}, ANONYMOUS, True),
    "its key": ({"keys": ["web"]}, CALLER, True),
    "another key": ({"keys": ["batch"]}, CALLER, False),
    "its tenant": ({"tenants": ["acme"]}, CALLER, True),
    "another tenant": ({"tenants": ["globex"]}, CALLER, False),
    "both": ({"keys": ["web"], "tenants": ["acme"]}, CALLER, True),
    "its key and another tenant": ({"keys": ["web"], "tenants": ["globex"]}, CALLER, False),
    "no key": ({"keys": []}, CALLER, False),
    "a subject": ({"keys": ["auth0|7"]}, Caller("acme", "auth0|7"), True),
    "a session of its role": ({"keys": [ROLE]}, Caller("123456789012", f"{ROLE}/any"), True),
    "a session of another role": ({"keys": [ROLE]}, Caller("123456789012", f"{ROLE}2/any"), False),
    "a session's name": ({"keys": [f"{ROLE}/any"]}, Caller("123456789012", f"{ROLE}/any"), False),
    "a subject like a session": ({"keys": ["x:assumed-role"]}, Caller("acme", "x:assumed-role/web"), False),
}


@pytest.mark.parametrize(("matcher", "caller", "matches"), MATCHED.values(), ids=MATCHED)
def test_whom_a_rule_is_for(matcher: dict[str, Any], caller: Caller, matches: bool) -> None:
    try:
        applied([rule(models=["none"], **matcher)], said(model="both"), caller)
    except GatewayError as denied:
        assert matches and denied.code == "denied_by_rule"
    else:
        assert not matches


# What a rule refuses.

CALLED = (Message("user", "Hi"), Message("assistant", tool_calls=(ToolUse("1", "shell", {}),)), Message("tool", "", (), "1"))
SHELL = Tool("shell", "", {}, anthropics={"type": "bash_20250124", "name": "shell"})
SEARCH = Tool("search", "", {})
# The rule, the request -> the field that is to blame, and a part of the text.
REFUSED: dict[str, tuple[dict[str, Any], ChatRequest, str | None, str]] = {
    "another alias": ({"models": ["eu-only"]}, said(model="both"), "model", "not allow the model 'both'; it allows eu-only"),
    "no alias": ({"models": []}, said(model="both"), "model", "it allows none"),
    "no alias by default": ({"models": []}, said(), "model", "it allows none"),
    "a Region": ({"regions": ["eu-central-1"]}, said(model="us-only"), "model", "data may go to eu-central-1 only"),
    "one of two Regions": ({"regions": ["eu-central-1"]}, said(model="eu-only"), "model", "no target of 'eu-only'"),
    "no Region": ({"regions": []}, said(model="both"), "model", "no Region only"),
    "a stream": ({"streams": False}, said(), "stream", "allows no streams; ask for a complete answer, such as with POST /chat"),
    "too many tokens": (
        {"max_tokens": 500},
        said(sampling=Sampling(max_tokens=501), names={"max_tokens": "max_completion_tokens"}),
        "max_completion_tokens",
        "allows max_completion_tokens of at most 500, not 501",
    ),
    "too hot": ({"temperature_max": 0.5}, said(sampling=Sampling(temperature=0.6)), "temperature", "of at most 0.5, not 0.6"),
    "too cold": ({"temperature_min": 0.5}, said(sampling=Sampling(temperature=0.0)), "temperature", "of at least 0.5, not 0"),
    "a tool": ({"tools": ["search"]}, said(tools=(SEARCH, SHELL)), "tools", "not allow the tool 'shell', offered or called"),
    "any tool": ({"tools": []}, said(tools=(SEARCH,)), "tools", "it allows none"),
    "a tool that was called": ({"tools": ["search"]}, ChatRequest(CALLED), "tools", "not allow the tool 'shell'"),
    "an hour": ({"hours": [{"start": "00:01"}]}, said(), None, "at these times only: 00:01 to 00:00 UTC"),
    "a long name of a tool": ({"tools": []}, said(tools=(Tool("n" * 999, "", {}),)), "tools", "nnn…'"),
}


@pytest.mark.parametrize(("constraint", "asked", "field", "text"), REFUSED.values(), ids=REFUSED)
def test_what_a_rule_refuses(constraint: dict[str, Any], asked: ChatRequest, field: str | None, text: str) -> None:
    decisions = Decisions()
    alias = ROUTES.alias(asked.model)
    assert alias is not None
    with pytest.raises(GatewayError) as denied:
        Policy([rule(**constraint)], clock=lambda: 0.0).apply(asked, alias, CALLER, ROUTES, decisions)
    assert (denied.value.status, denied.value.code, denied.value.type) == (403, "denied_by_rule", "permission_error")
    assert denied.value.param == field
    assert denied.value.message.startswith("the rule 'strict' ") and text in denied.value.message
    assert decisions == [f"strict: refused {field or 'the hour'}"]
    assert not errors.denied_by_rule.passes


# What fits within a rule is answered as without it.
ALLOWED: dict[str, tuple[dict[str, Any], ChatRequest]] = {
    "its alias": ({"models": ["both"]}, said(model="both")),
    "its Regions": ({"regions": ["eu-west-1", "eu-central-1", "us-east-1"]}, said(model="us-only")),
    "a whole answer": ({"streams": False}, said(stream=False)),
    "as many tokens": ({"max_tokens": 4096}, said(sampling=Sampling(max_tokens=4096))),
    "as hot": ({"temperature_max": 1.0}, said(sampling=Sampling(temperature=1.0))),
    "its tool": ({"tools": ["shell"]}, ChatRequest(CALLED, tools=(SHELL,))),
    "no tool": ({"tools": []}, said()),
    "its hour": ({"hours": [{"start": "12:00"}, {"end": "00:01"}]}, said()),
    "no prompt cache": ({"prompt_caching": False}, said()),
}


@pytest.mark.parametrize(("constraint", "asked"), ALLOWED.values(), ids=ALLOWED)
def test_what_fits_within_a_rule(constraint: dict[str, Any], asked: ChatRequest) -> None:
    assert applied([rule(**constraint)], asked) == (asked, ROUTES.alias(asked.model), [])


# Bounds.


def _sent(rules: list[Rule], asked: ChatRequest) -> tuple[Sampling, list[str]]:
    """The parameters that the first target is sent."""
    asked, alias, decisions = applied(rules, asked)
    return model_call(asked, alias, alias.targets[0], 0.0).sampling, decisions


@pytest.mark.parametrize("exact", [False, True])
def test_a_value_out_of_the_bounds_is_set_to_the_bound_where_the_rule_says_so(exact: bool) -> None:
    clamps = rule(max_tokens=500, temperature_min=0.2, temperature_max=0.5, out_of_bounds="clamp")
    sent, decisions = _sent([clamps], request(Sampling(max_tokens=900, temperature=0.9), exact=exact))
    assert (sent.max_tokens, sent.temperature) == (500, 0.5)
    assert decisions == ["strict: max_tokens 900 to 500", "strict: temperature 0.9 to 0.5"]
    sent, decisions = _sent([clamps], request(Sampling(max_tokens=9, temperature=0.0), exact=exact))
    assert (sent.max_tokens, sent.temperature) == (9, 0.2) and decisions == ["strict: temperature 0 to 0.2"]


@pytest.mark.parametrize("out_of_bounds", ["refuse", "clamp"])
def test_what_a_caller_leaves_out_is_within_the_bounds_too(out_of_bounds: str) -> None:
    bounds = rule(max_tokens=500, temperature_max=0.5, out_of_bounds=out_of_bounds)
    for asked in (request(), said()):  # with defaults of the API format, and without
        sent, decisions = _sent([bounds], asked)
        assert (sent.max_tokens, sent.temperature, decisions) == (500, 0.5, [])
    # A model's own temperature, which is 1, is within these.
    assert _sent([rule(temperature_max=1.0)], said())[0].temperature is None


def test_the_narrowest_of_all_rules_holds() -> None:
    rules = [
        rule(name="all", max_tokens=900, out_of_bounds="clamp"),
        rule(name="tenant", tenants=["acme"], max_tokens=700, out_of_bounds="clamp"),
        rule(name="key", keys=["web"], max_tokens=800),
        rule(name="others", keys=["batch"], max_tokens=1),
    ]
    assert _sent(rules, said(sampling=Sampling(max_tokens=750)))[0].max_tokens == 700
    # A rule sees what the caller asked for, not what another rule has made of it.
    with pytest.raises(GatewayError, match="the rule 'key' allows max_tokens of at most 800, not 1000"):
        _sent(rules, said(sampling=Sampling(max_tokens=1000)))


def test_bounds_that_exclude_each_other_allow_nothing() -> None:
    rules = [rule(temperature_max=0.3, out_of_bounds="clamp"), rule(name="hot", temperature_min=0.6, out_of_bounds="clamp")]
    for asked in (said(), said(sampling=Sampling(temperature=0.5))):
        with pytest.raises(GatewayError, match="allow no temperature together"):
            _sent(rules, asked)


def test_a_lowered_bound_lowers_a_budget_of_thinking_with_it() -> None:
    claude = _target("claude", max_output_tokens=64_000)
    claude = msgspec.structs.replace(claude, accepts=(*claude.accepts, "reasoning_effort"))
    routes = Routes((Alias("main", (claude,)),))
    asked = said(sampling=Sampling(max_tokens=4_000), thinking={"type": "enabled", "budget_tokens": 3_000})
    clamps = rule(max_tokens=2_000, out_of_bounds="clamp")
    asked, alias = Policy([clamps]).apply(asked, routes.aliases[0], CALLER, routes, Decisions())
    call = model_call(asked, alias, alias.targets[0], 0.0)
    assert (call.sampling.max_tokens, call.thinking["budget_tokens"]) == (2_000, 1_500)


# Targets.


def names(alias: Alias) -> list[str]:
    return [each.name for each in alias.targets]


def test_a_target_from_which_data_may_go_elsewhere_is_dropped() -> None:
    _, alias, decisions = applied([rule(regions=["eu-central-1", "eu-west-1"])], said(model="both"))
    assert names(alias) == ["eu"] and decisions == ["strict: dropped us", "strict: dropped anywhere"]
    _, alias, _ = applied([rule(regions=["eu-central-1", "eu-west-1", "us-east-1"])], said(model="both"))
    assert names(alias) == ["eu", "us"], "nobody knows where the third one may take it"


def test_two_rules_together_may_leave_no_target() -> None:
    rules = [rule(regions=["eu-central-1", "eu-west-1"]), rule(name="home", regions=["us-east-1"])]
    with pytest.raises(GatewayError, match="the rule 'home' allows no target of 'both'"):
        applied(rules, said(model="both"))


@pytest.mark.parametrize("failure", [errors.upstream_unavailable(), errors.context_length_exceeded(), errors.content_filter()])
async def test_no_fallback_escapes_a_rule(failure: GatewayError) -> None:
    """Whatever fails, and in whatever order: only what the rule allows is asked."""
    for strategy in ("priority", "weight", "latency"):
        provider = Scripted(eu=failure, us=0.0, anywhere=0.0)
        alias = msgspec.structs.replace(ROUTES.aliases[0], strategy=strategy, retries=1)
        rules = (rule(regions=["eu-central-1", "eu-west-1"]),)
        gateway = Gateway(Routes((alias,)), Router({"p": provider}, random.Random(1)), policy=Policy(rules))
        deadline = asyncio.get_running_loop().time() + FAR
        with pytest.raises(GatewayError) as failed:
            async for _ in answer(gateway, said(), CALLER, "request-1", deadline):
                pass
        assert set(provider.asked) == {"eu"} and failed.value.code == failure.code
        # Nor is the rule another caller's, for whom the next target answers.
        other = Gateway(Routes((alias,)), Router({"p": provider}), policy=Policy([rule(keys=["b"], regions=["eu-west-1"])]))
        assert [event async for batch in answer(other, said(), CALLER, "r", deadline) for event in batch]


CACHED = request(
    messages=(Message("user", "Hi", cache="1h"),),
    tools=(Tool("search", "", {}, cache=True),),
    cache_system=True,
    hints={"prompt_cache_key": "k", "seed": 1},
    model="main",
)


def test_without_prompt_caching_nothing_asks_for_it_and_who_caches_by_itself_is_not_asked() -> None:
    claude = _target("claude", cache_prompts=True)
    claude = msgspec.structs.replace(claude, provider=BEDROCK)
    nova = msgspec.structs.replace(_target("nova-lite"), provider=BEDROCK)
    vllm = msgspec.structs.replace(_target("open"), provider="vllm")
    anthropic = msgspec.structs.replace(_target("direct"), provider="direct")
    routes = Routes(
        (Alias("main", (nova, claude, vllm, anthropic)),),
        (Endpoint("vllm", "openai_compatible"), Endpoint("direct", "anthropic")),
        rules=(rule(prompt_caching=False),),
    )
    found, decisions = policy(routes), Decisions()
    assert found is not None
    asked, alias = found.apply(CACHED, routes.aliases[0], CALLER, routes, decisions)
    assert names(alias) == ["claude", "direct"] and not alias.targets[0].cache_prompts
    assert not asked.cache_system and not asked.messages[0].cache and not asked.tools[0].cache
    assert asked.hints == {"seed": 1}
    assert decisions == ["strict: dropped nova-lite", "strict: dropped open", "strict: prompt_caching off"]


def test_a_target_that_cannot_be_as_hot_is_dropped() -> None:
    cool, hot = _target("cool"), _target("hot", temperature_max=2.0)
    routes = Routes((Alias("main", (cool, hot)),))
    _, alias = Policy([rule(temperature_min=1.5)]).apply(said(), routes.aliases[0], CALLER, routes, Decisions())
    assert names(alias) == ["hot"]


def test_without_rules_for_a_caller_nothing_changes() -> None:
    asked = said(model="both")
    request, alias, decisions = applied([rule(keys=["batch"], models=[])], asked)
    assert request is asked and alias is ROUTES.alias("both") and decisions == []


# The alias of a request that names none, and the list of aliases.


@pytest.mark.parametrize(
    ("constraint", "models", "first"),
    [
        ({"models": ["eu-only", "us-only"]}, None, "us-only"),
        ({"models": ["eu-only", "us-only"]}, ("both", "eu-only"), "eu-only"),
        ({"regions": ["us-east-1"]}, ("eu-only", "us-only"), "us-only"),
        ({"models": ["vectors"]}, None, None),
    ],
)
def test_without_an_alias_the_first_allowed_one_is_taken(
    constraint: dict[str, Any], models: tuple[str, ...] | None, first: str | None
) -> None:
    caller = Caller("acme", "web", models)
    if first is None:
        with pytest.raises(GatewayError, match="does not allow the model 'both'"):
            applied([rule(**constraint)], said(), caller)
    else:
        _, alias, decisions = applied([rule(**constraint)], said(), caller)
        assert alias.name == first and decisions == []


def test_embeddings_are_held_within_the_rules_too() -> None:
    asked = EmbeddingRequest(("a",), model="vectors")
    _, alias, _ = applied([rule(regions=["eu-central-1", "eu-west-1"], max_tokens=5, tools=[], streams=False)], asked)
    assert names(alias) == ["eu"]
    for constraint in ({"models": ["both"]}, {"regions": ["us-east-1"]}, {"hours": [{"start": "01:00", "end": "02:00"}]}):
        with pytest.raises(GatewayError, match="the rule 'strict' "):
            applied([rule(**constraint)], asked)


# Hours.

OFFICE = {"start": "08:00", "end": "18:00", "weekdays": list(WEEKDAYS[:5]), "time_zone": "Europe/Berlin"}
NIGHT = {"start": "22:00", "end": "06:00", "weekdays": ["fri"], "time_zone": "America/New_York"}
# A part of the day, a time in UTC -> whether a call is allowed then. 2026-11-27 is a Friday, and the clocks change on
# 2026-10-25 in Berlin and on 2026-11-01 in New York.
TIMES: list[tuple[dict[str, Any], str, bool]] = [
    (OFFICE, "2026-11-27T06:59", False),
    (OFFICE, "2026-11-27T07:00", True),
    (OFFICE, "2026-11-27T16:59", True),
    (OFFICE, "2026-11-27T17:00", False),
    (OFFICE, "2026-11-28T12:00", False),
    (OFFICE, "2026-10-23T05:59", False),
    (OFFICE, "2026-10-23T06:00", True),  # in summer time
    (NIGHT, "2026-11-28T02:59", False),
    (NIGHT, "2026-11-28T03:00", True),
    (NIGHT, "2026-11-28T10:59", True),  # Saturday, but the night of Friday
    (NIGHT, "2026-11-28T11:00", False),
    (NIGHT, "2026-11-27T10:59", False),  # Friday, but the night of Thursday
    ({"weekdays": ["sun"]}, "2026-11-29T00:00", True),
    ({"weekdays": ["sun"]}, "2026-11-30T00:00", False),
    ({"weekdays": ["sun"], "start": "12:00", "end": "12:00"}, "2026-11-30T11:59", True),
    ({"weekdays": []}, "2026-11-30T11:59", False),
]


@pytest.mark.assumes("time-zones")
@pytest.mark.parametrize(("hours", "time", "allowed"), TIMES)
def test_when_calls_are_allowed(hours: dict[str, Any], time: str, allowed: bool) -> None:
    clock = datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()
    try:
        applied([rule(hours=[hours])], said(), clock=clock)
    except GatewayError as denied:
        assert not allowed and denied.param is None
    else:
        assert allowed


def test_a_time_zone_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(LookupError):
        Policy([rule(hours=[{"time_zone": "Mars/Olympus"}])])


def test_a_rule_of_another_version_is_not_read_as_less_than_it_says() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"name": "a", "only_on_mondays": true}', type=Rule)


# Whatever the rules.

TEMPERATURES = st.sampled_from([None, 0.0, 0.4, 0.8, 1.0])
RULES = st.builds(
    Rule,
    name=st.just("r"),
    keys=st.none() | st.sampled_from([("web",), ("batch",), ()]),
    tenants=st.none() | st.sampled_from([("acme",), ("globex",)]),
    models=st.none() | st.sets(st.sampled_from(ROUTES.names())).map(tuple),
    regions=st.none() | st.sets(st.sampled_from(["eu-central-1", "eu-west-1", "us-east-1"])).map(tuple),
    hours=st.none() | st.sampled_from([(Hours(end="12:00"),), (Hours(start="12:00"),), ()]),
    tools=st.none() | st.sampled_from([(), ("search",), ("search", "shell")]),
    max_tokens=st.none() | st.integers(1, 2000),
    temperature_min=TEMPERATURES,
    temperature_max=TEMPERATURES,
    out_of_bounds=st.sampled_from(["refuse", "clamp"]),
    streams=st.booleans(),
    prompt_caching=st.booleans(),
)
REQUESTS = st.builds(
    ChatRequest,
    messages=st.just((user(),)),
    model=st.sampled_from(["", "both", "us-only", "eu-only"]),
    sampling=st.builds(Sampling, max_tokens=st.none() | st.integers(1, 4096), temperature=TEMPERATURES),
    defaults=st.builds(Sampling, max_tokens=st.none() | st.just(1000), temperature=TEMPERATURES),
    tools=st.sampled_from([(), (SEARCH,), (SEARCH, Tool("shell", "", {}))]),
    stream=st.booleans(),
    cache_system=st.booleans(),
    exact=st.booleans(),
)


def _outcome(rules: list[Rule], asked: ChatRequest, alias: str) -> tuple[ChatRequest, Alias] | None:
    """What a request becomes, None if it is refused."""
    try:
        asked, found, _ = applied(rules, msgspec.structs.replace(asked, model=alias))
    except GatewayError as denied:
        assert denied.code == "denied_by_rule"
        return None
    return asked, found


@given(st.lists(RULES, max_size=4), RULES, st.integers(0, 4), REQUESTS)
def test_one_more_rule_never_allows_more(rules: list[Rule], more: Rule, at: int, asked: ChatRequest) -> None:
    """Wherever it stands among the others. What both allow is no more than without it: no other target, no wider bound."""
    without = _outcome(rules, asked, asked.model or "both")
    found = _outcome([*rules[:at], more, *rules[at:]], asked, asked.model or "both")
    if found is None:
        return
    assert without is not None
    (request, alias), (before, wider) = found, without
    assert set(names(alias)) <= set(names(wider))
    if before.cache_system is False:
        assert request.cache_system is False
    bounds = {target.name: target for target in wider.targets}
    for each in alias.targets:
        assert each.max_output_tokens <= bounds[each.name].max_output_tokens
        assert each.temperature_max <= bounds[each.name].temperature_max
        call, call_before = (
            model_call(r, a, t, 0.0) for r, a, t in ((request, alias, each), (before, wider, bounds[each.name]))
        )
        assert (call.sampling.max_tokens or 0) <= (call_before.sampling.max_tokens or 0)


@given(st.lists(RULES, max_size=4), REQUESTS)
def test_what_is_let_pass_is_within_every_rule_that_is_for_the_caller(rules: list[Rule], asked: ChatRequest) -> None:
    try:
        request, alias, _ = applied(rules, asked)
    except GatewayError:
        return
    for each in (each for each in rules if each.is_for("web", "acme")):
        assert each.models is None or alias.name in each.models
        assert each.hours is None or each.hours == (Hours(end="12:00"),)
        assert each.streams or not request.stream
        assert each.tools is None or {tool.name for tool in request.tools} <= set(each.tools)
        assert each.prompt_caching or not request.cache_system
        for behind in alias.targets:
            assert each.regions is None or (behind.regions and set(behind.regions) <= set(each.regions))
            sent = model_call(request, alias, behind, 0.0).sampling
            assert each.max_tokens is None or (sent.max_tokens or 0) <= each.max_tokens
            temperature = NEUTRAL if sent.temperature is None else sent.temperature
            assert each.temperature_max is None or temperature <= each.temperature_max
            assert each.temperature_min is None or temperature >= each.temperature_min


# In the pipeline.


def _gateway(*rules: Rule, **reactions: Any) -> Gateway:
    return Gateway(ROUTES, Router({"p": Scripted(**reactions)}), policy=Policy(rules))


async def test_the_record_names_the_rules_that_decided(records: list[dict[str, Any]]) -> None:
    gateway = _gateway(rule(name="eu", regions=["eu-central-1", "eu-west-1"]), rule(name="small", max_tokens=9))
    deadline = asyncio.get_running_loop().time() + FAR
    events = [event async for batch in answer(gateway, said(), CALLER, "r", deadline) for event in batch]
    assert isinstance(events[0], Start) and events[0].target == "eu"
    with pytest.raises(GatewayError):
        async for _ in answer(gateway, said(sampling=Sampling(max_tokens=10)), CALLER, "r", deadline):
            pass
    answered, refused = records
    assert answered["policy.decisions"] == ["eu: dropped us", "eu: dropped anywhere"] and answered["level"] == "INFO"
    assert refused["policy.decisions"] == ["small: refused max_tokens"]
    assert (refused["error.type"], refused["error.param"], refused["level"]) == ("denied_by_rule", "max_tokens", "WARN")


def test_without_rules_there_is_no_policy() -> None:
    assert policy(Routes(ROUTES.aliases)) is None
