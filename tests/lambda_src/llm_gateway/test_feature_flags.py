"""The feature flags of a running gateway: what a document changes, and what becomes of one that is wrong or does not come."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from llm_gateway import errors, feature_flags, flags
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws.appconfig import AppConfigError, Received
from llm_gateway.checked_router import Safety as Checks
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.feature_flags import FeatureFlags, overlaid
from llm_gateway.gateway import Gateway
from llm_gateway.http.errors import ConnectError
from llm_gateway.identity.caller import Caller
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.pipeline import answer
from llm_gateway.request import ChatRequest, Sampling
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes
from llm_gateway.rules import Rule
from llm_gateway.safety import Filter, GuardrailUse, Safety
from llm_gateway.stages.ledger import Ledger
from llm_gateway.stages.policy import Policy
from support.clock import Now
from support.scripted_provider import Scripted, said, target

MINUTE = Limit("requests", "minute", 60)
ROUTES = Routes(
    (
        Alias("main", (target("a/one"), target("b")), "weight", retries=0),
        Alias("other", (target("c"), target("d")), retries=0),
    ),
    limits=CallerLimits(
        {"web": Limits((Limit("requests", "minute", 5), Limit("tokens", "day", 900)))},
        Limits((MINUTE, Limit("micro_usd", "month", 5_000_000))),
        {"shop": Limits((MINUTE,), 4)},
    ),
    safety=Safety(
        (Filter("length", "shadow", most=9), Filter("pii", "block", kinds=("iban",)), Filter("pii", "mask", kinds=("email",))),
        GuardrailUse(shadow=False),
    ),
)


PLAIN = msgspec.structs.replace(ROUTES, limits=None, safety=None)


class Source:
    """Answers in its order, and then nothing new."""

    def __init__(self, *answers: Received | Exception | dict[str, Any] | str) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.hangs = False

    async def latest(self) -> Received:
        self.asked += 1
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        given = self.answers.pop(0) if self.answers else Received(b"", "", 60.0)
        if isinstance(given, Exception):
            raise given
        if isinstance(given, Received):
            return given
        return Received((given if isinstance(given, str) else json.dumps(given)).encode(), "", 60.0)


def gateway_of(provider: Any = None, routes: Routes = ROUTES) -> Gateway:
    ledger = None if routes.limits is None else Ledger(None, "t", routes.limits, print)  # type: ignore[arg-type]
    safety = None if routes.safety is None else Checks(routes.safety)
    return Gateway(routes, Router({"p": provider}), ledger=ledger, safety=safety)


class Running:
    """The flags of a process, and its time."""

    def __init__(self, *answers: Any, gateway: Gateway | None = None) -> None:
        self.source, self.now, self.warnings = Source(*answers), Now(), list[str]()
        self.flags = FeatureFlags(gateway or gateway_of(), self.source, self.warnings.append, clock=self.now)

    async def request(self, seconds: float = 0.0) -> Gateway:
        """A request that comes after so many seconds, and what it sees. Then what has come is worked out."""
        self.now.seconds += seconds
        seen = self.flags.current()
        for _ in range(3):
            await asyncio.sleep(0)
        return seen

    def off(self, alias: str = "main") -> GatewayError | None:
        try:
            self.flags.admit(alias)
        except GatewayError as error:
            return error
        return None


# What a document says -> what is read of the routes, and what that is then.
OVERLAYS: dict[str, tuple[dict[str, Any], Callable[[Routes], Any], Any]] = {
    "nothing": ({}, lambda routes: routes, ROUTES),
    "everything as it is": (
        {"service": {}, "models": {"main": {"targets": {"b": {}}}}, "safety": {"filters": {}}, "limits": {"keys": {"x": {}}}},
        lambda routes: (routes.aliases, routes.safety),
        (ROUTES.aliases, ROUTES.safety),
    ),
    "a weight": (
        {"models": {"main": {"targets": {"a/one": {"weight": 95}, "b": {"weight": 5}}}}},
        lambda routes: [(each.name, each.weight) for alias in routes.aliases for each in alias.targets],
        [("a/one", 95), ("b", 5), ("c", 1), ("d", 1)],
    ),
    "a target that is off": (
        {"models": {"other": {"targets": {"c": {"enabled": False}}}}},
        lambda routes: [each.name for alias in routes.aliases for each in alias.targets],
        ["a/one", "b", "d"],
    ),
    "all targets are off, so the alias is": (
        {"models": {"other": {"targets": {"c": {"enabled": False}, "d": {"enabled": False}}}}},
        lambda routes: routes.aliases,
        ROUTES.aliases,
    ),
    "stricter filters": (
        {"safety": {"filters": {"length": "block", "pii": "block"}}},
        lambda routes: [each.mode for each in routes.safety.filters],
        ["block", "block", "block"],
    ),
    "a filter that is stricter already": (
        {"safety": {"filters": {"pii": "mask"}}},
        lambda routes: [each.mode for each in routes.safety.filters],
        ["shadow", "block", "mask"],
    ),
    "weaker filters, which is said": (
        {"weaker_safety": {"filters": {"length": "off", "pii": "shadow"}}},
        lambda routes: [(each.name, each.mode) for each in routes.safety.filters],
        [("pii", "shadow"), ("pii", "shadow")],
    ),
    "what is weakened and not is not": (
        {"safety": {"filters": {"pii": "mask"}, "guardrail": "block"}, "weaker_safety": {"filters": {"pii": "off"}}},
        lambda routes: ([each.mode for each in routes.safety.filters], routes.safety.guardrail),
        (["shadow", "mask", "mask"], GuardrailUse()),
    ),
    "a guardrail in shadow mode": (
        {"weaker_safety": {"guardrail": "shadow"}},
        lambda routes: routes.safety.guardrail,
        GuardrailUse(shadow=True),
    ),
    "all of safety off": (
        {"weaker_safety": {"filters": {"length": "off", "pii": "off"}, "guardrail": "off"}},
        lambda routes: routes.safety,
        None,
    ),
    "a lower limit of a key": (
        {"limits": {"keys": {"web": {"requests": {"minute": 1}}}}},
        lambda routes: set(routes.limits.of_key("web").counted),
        {Limit("requests", "minute", 1), Limit("tokens", "day", 900)},
    ),
    "a higher limit of a caller that has none of its own": (
        {"limits": {"keys": {"Ada": {"requests": {"minute": 900}, "calls_in_flight": 2}}}},
        lambda routes: (set(routes.limits.of_key("Ada").counted), routes.limits.of_key("Ada").calls_in_flight),
        ({Limit("requests", "minute", 900), Limit("micro_usd", "month", 5_000_000)}, 2),
    ),
    "a limit of all others": (
        {"limits": {"others": {"usd": {"month": 0.5}}, "keys": {"Ada": {"requests": {"day": 7}}}}},
        lambda routes: [set(routes.limits.of_key(name).counted) for name in ("Bob", "Ada", "web")],
        [
            {MINUTE, Limit("micro_usd", "month", 500_000)},
            {MINUTE, Limit("micro_usd", "month", 500_000), Limit("requests", "day", 7)},
            {Limit("requests", "minute", 5), Limit("tokens", "day", 900)},
        ],
    ),
    "limits of tenants": (
        {"limits": {"tenants": {"shop": {"models": {"main": {"tokens": {"day": 3}}}}, "new": {"calls_in_flight": 1}}}},
        lambda routes: (routes.limits.of_tenant("shop"), routes.limits.of_tenant("new")),
        (Limits((MINUTE, Limit("tokens", "day", 3, "main")), 4), Limits((), 1)),
    ),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_a_document_changes(name: str) -> None:
    document, read, expected = OVERLAYS[name]
    gateway = gateway_of()
    found = overlaid(gateway, flags.parse(json.dumps(document).encode(), flags.document_type(ROUTES)))
    assert read(found.routes) == expected
    assert (found.ledger and found.ledger.limits) == found.routes.limits
    assert (found.safety is None) == (found.routes.safety is None)
    assert gateway.routes is ROUTES and found.router is gateway.router


@pytest.mark.parametrize(
    ("key", "limited"),
    [
        ("arn:aws:sts::123456789012:assumed-role/batch/a-session", True),
        ("arn:aws:sts::123456789012:assumed-role/batch/another", True),
        ("arn:aws:sts::123456789012:assumed-role/web/a-session", False),
    ],
)
def test_a_limit_of_a_role_holds_whatever_its_session_is_called(key: str, limited: bool) -> None:
    document = b'{"limits": {"keys": {"arn:aws:sts::123456789012:assumed-role/batch": {"requests": {"minute": 1}}}}}'
    routes = Routes(ROUTES.aliases, limits=CallerLimits(tenants={"shop": Limits((MINUTE,))}))
    found = overlaid(gateway_of(None, routes), flags.parse(document, flags.document_type(routes)))
    assert found.ledger is not None
    assert (found.ledger.reservation(Caller("123456789012", key), "main", [], 0.0) is not None) is limited


@pytest.mark.parametrize("enabled", [True, False])
def test_the_cache_is_switched_off(enabled: bool) -> None:
    cache: Any = object()
    routes = msgspec.structs.replace(ROUTES, cache=AnswerCache(ttl_seconds=60))
    document = flags.parse(b'{"cache": {"enabled": %s}}' % str(enabled).lower().encode(), flags.document_type(routes))
    found = overlaid(msgspec.structs.replace(gateway_of(None, routes), cache=cache), document)
    assert found.cache is (cache if enabled else None)


async def test_a_request_sees_what_was_there_when_it_came() -> None:
    run = Running({"models": {"other": {"targets": {"c": {"enabled": False}}}}})
    first = await run.request()
    assert first is run.flags.deployed and run.flags.version  # it has come meanwhile
    second = await run.request()
    assert len(second.routes.aliases[1].targets) == 1
    assert run.source.asked == 1


async def test_appconfig_is_asked_once_in_its_interval() -> None:
    run = Running(Received(b"{}", "", 60.0), Received(b"", "", 120.0))
    for seconds, asked in ((0, 1), (59, 1), (1, 2), (61, 2), (59, 3)):
        await run.request(seconds)
        assert run.source.asked == asked, seconds
    await run.request(-3_600)  # somebody has set the clock
    assert run.source.asked == 4


async def test_what_is_unchanged_stays_the_same_gateway() -> None:
    run = Running({"models": {}}, {"models": {}}, Received(b"", "", 60.0))
    await run.request()
    gateway = await run.request()
    assert [await run.request(60), await run.request(60), await run.request()] == [gateway] * 3
    assert run.flags.current() is gateway


SWITCHES: dict[str, tuple[dict[str, Any], dict[str, tuple[str, str, float] | None]]] = {
    "on": ({"service": {"message": "not shown"}, "models": {"main": {}}}, {"main": None, "other": None}),
    "the service": (
        {"service": {"enabled": False, "message": "An incident.", "retry_after": 30}},
        {
            "main": ("service_disabled", "the service is switched off for now: An incident.", 30),
            "other": ("service_disabled", "the service is switched off for now: An incident.", 30),
        },
    ),
    "an alias": (
        {"models": {"main": {"enabled": False}}},
        {"main": ("model_disabled", "model: 'main' is switched off for now", 300), "other": None},
    ),
    "all targets of an alias": (
        {"models": {"other": {"targets": {"c": {"enabled": False}, "d": {"enabled": False}}, "retry_after": 9}}},
        {"main": None, "other": ("model_disabled", "model: 'other' is switched off for now", 9)},
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
async def test_what_is_switched_off(name: str) -> None:
    document, expected = SWITCHES[name]
    run = Running(document)
    await run.request()
    for alias, error in expected.items():
        off = run.off(alias)
        assert (off and (off.code, off.message, off.retry_after, off.status)) == (error and (*error, 503))


# A document that is not accepted -> which field is blamed.
BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("SECRET", "the whole, which is no JSON"),
    "no text": ("\ud800", "the whole, which is no JSON"),
    "not closed": ('{"service": {"enabled": false}', "the whole, which is no JSON"),
    "a list": ('["SECRET"]', "the whole"),
    "an unknown field": ('{"servcie": {"enabled": false}}', "servcie"),
    "an unknown alias": ('{"models": {"gpt-9": {"message": "SECRET"}}}', "models.gpt-9"),
    "an unknown target": ('{"models": {"main": {"targets": {"c": {}}}}}', "models.main.targets.c"),
    "a target of a name with a slash": (
        '{"models": {"main": {"targets": {"a/one": {"weight": 0}}}}}',
        "models.main.targets.a/one.weight",
    ),
    "a weight without the strategy": (
        '{"models": {"other": {"targets": {"c": {"weight": 5}}}}}',
        "models.other.targets.c.weight",
    ),
    "a mode that the filter has not": ('{"safety": {"filters": {"length": "mask"}}}', "safety.filters.length"),
    "a mode that is none": ('{"safety": {"filters": {"pii": "SECRET"}}}', "safety.filters.pii"),
    "off is not stricter": ('{"safety": {"guardrail": "off"}}', "safety.guardrail"),
    "a filter that is not deployed": ('{"safety": {"filters": {"injection": "block"}}}', "safety.filters.injection"),
    "a text for a number": ('{"limits": {"others": {"calls_in_flight": "SECRET"}}}', "limits.others.calls_in_flight"),
    "a limit of nothing": ('{"limits": {"keys": {"web": {"requests": {"minute": 0}}}}}', "limits.keys[...].requests.minute"),
    "a window that is none": ('{"limits": {"keys": {"web": {"requests": {"week": 5}}}}}', "limits.keys[...].requests.week"),
    "a name with a line end": ('{"limits": {"keys": {"web\\n": {}}}}', "limits.keys"),
    "a rule of an alias that is not there": ('{"rules": {"r": {"models": ["SECRET"]}}}', "rules[...].models[0]"),
    "a rule of a zone that is not deployed": (
        '{"rules": {"r": {"hours": [{"time_zone": "Asia/Tokyo"}]}}}',
        "rules[...].hours[0].time_zone",
    ),
    "a rule with an unknown field": ('{"rules": {"r": {"modles": ["main"]}}}', "rules[...].modles"),
    "null": ('{"service": null}', "service"),
    "a good switch beside a bad name": ('{"service": {"enabled": false}, "models": {"SECRET-9": {}}}', "models.SECRET-9"),
    "deep": ("[" * 100_000, "the whole"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_document_is_refused_and_the_last_good_one_stays(name: str) -> None:
    content, field = BAD[name]
    bad = Received(content.encode("utf-8", "surrogatepass"), "v9", 60.0)
    run = Running({"models": {"main": {"enabled": False}}}, bad)
    await run.request()
    good, version = await run.request(), run.flags.version
    await run.request(60)
    assert await run.request() is good
    assert run.flags.version == version and run.off("main") is not None and run.off("other") is None
    (warning,) = run.warnings
    assert warning == f"flags: the document v9 is refused, so they stay as they are; wrong is {field}"


async def test_a_bad_document_at_the_beginning_leaves_the_deployments_own_values() -> None:
    run = Running('{"service": {"enabled": 0}}')
    await run.request()
    assert await run.request() is run.flags.deployed
    assert run.off() is None and run.flags.version == ""


async def test_a_document_that_a_deployment_has_outgrown_switches_the_service_off_nevertheless() -> None:
    run = Running('{"service": {"enabled": false, "message": "Back soon"}, "models": {"gone": {"enabled": true}}}')
    await run.request()
    off = run.off()
    assert off is not None and "Back soon" in off.message and run.flags.version == ""
    run.source.answers = [Received(b'{"models": {"gone": {"enabled": true}}}', "v2", 60.0)]
    await run.request(60)
    assert run.off() is None and len(run.warnings) == 2


async def test_rules_are_added_to_the_deployed_ones(records) -> None:
    """A request must be within both, so nothing that was deployed is ever widened; the log says which one came by flags."""
    deployed = Rule("strict", keys=("ci",), max_tokens=5)
    routes = msgspec.structs.replace(PLAIN, rules=(deployed,))
    gateway = msgspec.structs.replace(gateway_of(Scripted(), routes), policy=Policy(routes.rules))
    run = Running({"rules": {"strict": {"models": ["main"], "max_tokens": 900}}}, {}, gateway=gateway)
    await run_answer(run.flags.deployed, "other")  # it comes before the document
    for asked, reason in ((said(model="other"), "allows main"), (said(sampling=Sampling(max_tokens=6)), "at most 5, not 6")):
        with pytest.raises(GatewayError, match=reason):
            await run_answer(run.flags.deployed, asked)
    await run.request(60)
    await run_answer(run.flags.deployed, "other")
    assert [record.get("policy.decisions") for record in records] == [
        None,
        ["strict (flags): refused model"],
        ["strict: refused max_tokens"],
        None,
    ]
    assert records[1]["flags.version"] == records[2]["flags.version"] != records[3]["flags.version"]


async def test_a_rule_of_the_flags_holds_where_none_are_deployed_and_for_its_callers_alone() -> None:
    document = {"rules": {"batch": {"keys": ["arn:aws:iam::123456789012:role/path/batch"], "retention": "none"}}}
    run = Running(document, gateway=gateway_of(Scripted(), PLAIN))
    await run.request()
    policy = (await run.request()).policy
    assert policy is not None and run.flags.deployed.policy is None
    for role in ("batch", "web"):
        assert policy.keeps(Caller("123456789012", f"arn:aws:sts::123456789012:assumed-role/{role}/any")) == (role == "web")


async def test_a_guardrail_that_takes_data_elsewhere_is_where_a_rule_must_allow(records) -> None:
    """At preview that is a mistake; a document that an operator deploys is held to it by each request."""
    guardrail = GuardrailUse(regions=("us-east-1", "us-west-2"))
    alias = Alias("main", (msgspec.structs.replace(target("a"), regions=("us-east-1",)),), retries=0)
    routes = Routes((alias,), safety=Safety((), guardrail))
    for more, regions, allowed in (
        ({}, ("us-east-1",), False),
        ({}, ("us-east-1", "us-west-2"), True),
        ({"weaker_safety": {"guardrail": "off"}}, ("us-east-1",), True),
    ):
        document = {**more, "rules": {"home": {"regions": regions}}}
        found = overlaid(
            gateway_of(Scripted(), routes), flags.parse(json.dumps(document).encode(), flags.document_type(routes))
        )
        assert found.policy is not None
        assert found.policy.allows(Rule("home", regions=regions), alias.targets[0]) is allowed


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        ('{"strict": {"models": ["gone"], "hours": [{"time_zone": "Asia/Tokyo"}]}}', True),
        ('{"strict": {"models": ["gone"], "regions": ["mars"]}}', True),
        ('{"strict": {"hours": [{"time_zone": "Mars/Base"}]}}', False),
        ('{"strict": {"hours": [{"start": "25:00"}]}}', False),
        ('{"strict": {"modles": ["main"]}}', False),
        ('["strict"]', False),
    ],
)
async def test_rules_of_a_document_that_a_deployment_has_outgrown_hold_nevertheless(rules: str, holds: bool) -> None:
    """They only restrict, so what they name and is not there any more allows nothing."""
    run = Running(f'{{"models": {{"gone": {{}}}}, "rules": {rules}}}', gateway=gateway_of(Scripted(), PLAIN))
    await run.request()
    assert ((await run.request()).policy is not None) is holds and run.flags.version == ""
    if holds:
        with pytest.raises(GatewayError, match="the rule 'strict'"):
            await run_answer(run.flags.deployed)
    run.source.answers = [Received(b'{"models": {"gone": {}}}', "v2", 60.0)]
    await run.request(60)
    assert (await run.request()).policy is None


async def test_who_has_answered_waits_for_the_fetch_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_flags, "_END_SECONDS", 0.01)
    run = Running()
    run.source.hangs = True
    run.flags.current()
    await asyncio.wait_for(run.flags.fetched(), 10)
    assert run.source.asked == 1 and run.off() is None
    run = Running({"service": {"enabled": False}})
    run.flags.current()
    await run.flags.fetched()
    assert run.off() is not None


async def test_a_slow_fetch_is_not_begun_again_by_each_request() -> None:
    run = Running(AppConfigError("InternalServerException", 500))
    await run.request()
    run.source.hangs = True
    for _ in range(4):
        await run.request(5)
    assert run.source.asked == 3  # the failure, the slow one, and one after its longest time


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (AppConfigError("ResourceNotFoundException", 404), "AppConfigError: ResourceNotFoundException (404)"),
        (ConnectError("http://127.0.0.1:9: refused"), "ConnectError: http://127.0.0.1:9: refused"),
    ],
    ids=["refused", "down"],
)
async def test_an_outage_changes_nothing_and_is_told_once(failure: Exception, reason: str) -> None:
    down = {"service": {"enabled": False}}
    run = Running(*[failure] * 6, down, failure)
    asked: list[int] = []
    for _ in range(150):  # a request each second
        await run.request(1)
        asked += [] if run.source.asked == len(asked) else [round(run.now.seconds - 1_800_000_000)]
    waits = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert waits == [5, 10, 20, 40, 60]
    assert await run.request() is run.flags.deployed
    await run.request(60)
    assert run.off() is not None  # it has recovered
    assert run.warnings == [f"flags: AppConfig cannot be asked, so they stay as they are: {reason}"]
    await run.request(60)
    assert run.off() is not None and len(run.warnings) == 2


async def test_a_process_that_was_frozen_asks_anew() -> None:
    run = Running()
    run.source.hangs = True
    await run.request()
    run.source.hangs, run.source.answers = False, [Received(b'{"service": {"enabled": false}}', "v2", 60.0)]
    assert await run.request(3_600) is run.flags.deployed  # it does not wait
    assert (run.source.asked, run.flags.version) == (2, "v2")


async def run_answer(gateway: Gateway, asked: ChatRequest | str = "main") -> list[Event]:
    deadline = asyncio.get_running_loop().time() + 10
    request = said(model=asked) if isinstance(asked, str) else asked
    batches = answer(gateway, request, Caller("acme", "ci"), "request-1", deadline)
    return [event async for batch in batches for event in batch]


async def test_the_first_answer_of_a_process_does_not_begin_when_its_flags_come_first(records) -> None:
    provider = Scripted(c=0.01)
    run = Running({"models": {"other": {"enabled": False}}}, gateway=gateway_of(provider, PLAIN))
    with pytest.raises(GatewayError, match="'other' is switched off"):
        await run_answer(run.flags.deployed, "other")
    assert provider.asked == ["c"] and not provider.running
    with pytest.raises(GatewayError, match="'other' is switched off"):
        await run_answer(run.flags.deployed, "other")
    assert provider.asked == ["c"]
    assert [(each.get("flags.version"), each["error.type"]) for each in records] == [
        (None, "model_disabled"),
        (run.flags.version, "model_disabled"),
    ]


async def test_an_answer_that_has_begun_goes_on_to_its_end(records) -> None:
    provider = Scripted()
    run = Running({"models": {}}, {"service": {"enabled": False}}, gateway=gateway_of(provider, PLAIN))
    await run.request()
    batches = answer(run.flags.deployed, said(model="other"), Caller("a", "b"), "r", asyncio.get_running_loop().time() + 10)
    events = await anext(batches)
    await run.request(60)
    assert run.off() is not None
    events += [event async for batch in batches for event in batch]
    assert type(events[-1]).__name__ == "Done"
    assert len(records) == 1 and len(records[0]["flags.version"]) == 12


async def test_no_flags_cost_nothing() -> None:
    gateway = gateway_of()
    assert gateway.current() is gateway


def test_the_errors_are_not_tried_again_at_once() -> None:
    for kind in (errors.service_disabled, errors.model_disabled):
        assert ("x-should-retry", "false") in kind(name="m", then="", retry_after=5).headers()
        assert not kind.policy.cooldown
