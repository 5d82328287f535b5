"""Rules on cost: which accelerators a stack may have, how many at most, and who is notified when the cost grows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from llm_policies import accelerators, bedrock, budgets, karpenter
from llm_policies.accelerators import accelerated, allowed
from llm_policies.boundaries import LIMITED
from llm_policies.documents import BOUNDARIES
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, each_resource, of_type
from llm_policies.values import UNKNOWN, NotVerified, Value, each, some

_THROUGHPUT: Final = "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput"
_STACK: Final = "pulumi:pulumi:Stack"


def _types_allowed(resource: Resource, settings: Settings) -> Iterator[str]:
    patterns = cast("list[str]", settings["types"])
    listed = ", ".join(patterns) or "none is"

    def of_kind(place: Value) -> Iterator[str]:
        kind = place.text()
        if accelerated(kind) and not allowed(kind, patterns):
            yield f"{place.path}: {kind} is none of the allowed accelerated types: {listed}"

    def of_requirements(place: Value) -> Iterator[str]:
        if not place["allowedInstanceTypes"].items():
            yield f"{place.path}.allowedInstanceTypes: asks for any accelerated type; list the allowed ones"
        yield from each(place["allowedInstanceTypes"].items(), of_kind)

    def of_pool(pool: karpenter.Pool) -> Iterator[str]:
        for kind in pool.kinds:
            if accelerated(kind) and not allowed(kind, patterns):
                told = "any accelerated type" if kind == "*" else kind
                yield f"{pool.path}.requirements: {told} may be started, which is none of the allowed types: {listed}"

    if resource.type in karpenter.TYPES:
        yield from each(karpenter.pools(resource), of_pool)
        return
    yield from each(
        ((accelerators.named, of_kind), (accelerators.required, of_requirements)), lambda one: each(one[0](resource), one[1])
    )


def _hourly_ceiling(resources: Sequence[Resource], settings: Settings) -> Found:
    ceiling = float(settings["usd_per_hour"])
    prices = {**accelerators.PRICES, **cast("dict[str, float]", settings["prices"])}
    parts: list[tuple[float, str]] = []

    def fleet(resource: Resource, one: accelerators.Fleet) -> Iterator[str]:
        try:
            yield from one.without_price(prices)
        finally:
            cost, text = one.dearest(prices) if one.count.data is not UNKNOWN else (0, "")
            if cost:
                parts.append((cost, f"{resource.name} {text}"))
        if one.is_priced(prices):
            one.count.number(1)

    def pool(resource: Resource, one: karpenter.Pool) -> Iterator[str]:
        kinds = [kind for kind in one.kinds if accelerated(kind)]
        if not kinds:
            return
        bounds = [
            accelerators.Fleet([(Value(kind, one.path), Value(1)) for kind in kinds], Value(number), unit)
            for unit, number in one.limits.items()
        ]
        if not bounds:
            yield f"{one.path}: no limits: the pool starts accelerated nodes for as long as pods ask for them; give limits"
        else:
            yield from bounds[0].without_price(prices)
            cost, text = min(bound.dearest(prices) for bound in bounds)
            if cost:
                parts.append((cost, f"{resource.name} {text}"))

    def check(resource: Resource) -> Iterator[str]:
        if resource.type in karpenter.TYPES:
            yield from each(karpenter.pools(resource), lambda one: pool(resource, one))
        else:
            yield from each(accelerators.fleets(resource, resources), lambda one: fleet(resource, one))
            yield from accelerators.unbounded(resource, resources)

    unverified: NotVerified | None = None
    try:
        yield from each_resource(of_type(resources, *accelerators.COUNTED, *karpenter.TYPES), check)
    except NotVerified as error:
        unverified = error
    total = sum(cost for cost, _ in parts)
    if total > ceiling:
        listed = ", ".join(f"{text} = ${cost:.2f}" for cost, text in sorted(parts, reverse=True))
        yield None, f"accelerators may cost ${total:.2f} an hour, more than ${ceiling:.2f}: {listed}"
    if unverified is not None:
        raise unverified


def _throughput(resource: Resource, settings: Settings) -> Iterator[str]:
    units = resource["modelUnits"].number(1)
    if units > settings["model_units"]:
        yield f"modelUnits: {units:g} are billed every hour, called or not; {settings['model_units']} are allowed"
    commitment = resource["commitmentDuration"].text()
    if commitment and commitment not in cast("list[str]", settings["commitments"]):
        yield f"commitmentDuration: {commitment} is billed to its end, even when the throughput is deleted"


def _budget_present(resources: Sequence[Resource], settings: Settings) -> Found:
    if any(stack["budget_waiver"].data for stack in of_type(resources, _STACK)):
        return

    def spends(resource: Resource) -> bool:
        return resource.type in (_THROUGHPUT, accelerators.ENDPOINT, accelerators.SERVING) or accelerators.may_start(resource)

    if some(of_type(resources, budgets.BUDGET, budgets.ANOMALIES), lambda one: budgets.tells(one, settings)):
        return
    tests: tuple[Callable[[], bool], ...] = (
        lambda: some(of_type(resources, *_STARTING), spends),
        lambda: bedrock.any_calls_models(resources, settings),
    )
    if some(tests, lambda test: test()):
        yield (
            None,
            "the stack spends on models or accelerators, but no budget in money, nor a cost anomaly subscription, tells anyone "
            "of it in time",
        )


_STARTING: Final = (*accelerators.TYPES, accelerators.BLOCK, accelerators.SERVING, _THROUGHPUT)

RULES: Final = (
    Rule(
        name="gpu-types-allowed",
        title="Accelerated instances are of an allowed type.",
        severity="high",
        why=(
            "One mistyped size costs as much as a fleet: a g5.xlarge is $1 an hour, a p5.48xlarge $55, which is $40,000 a"
            " month for one node that nobody noticed."
        ),
        fix="Take an allowed instance type, or have the type added to the setting `types`.",
        check=_types_allowed,
        types=accelerators.TYPES,
        settings={
            "types": Setting(
                [f"g5.{size}" for size in ("xlarge", *(f"{n}xlarge" for n in (2, 4, 8, 12, 16, 24, 48)))],
                STRINGS,
                "The accelerated instance types that may be started: names, or globs as `g6e.*`; SageMaker's without `ml.`.",
            )
        },
        url="https://aws.amazon.com/ec2/instance-types/accelerated-computing/",
    ),
    Rule(
        name="gpu-hourly-ceiling",
        title="All accelerators that a stack may start stay under an hourly ceiling.",
        severity="high",
        why=(
            "A group grows to its maximum by itself: twenty g5.12xlarge are $113 an hour, $19,000 over a week in which a queue "
            "was stuck."
        ),
        fix="Lower max_size or the instance size, or have the setting `usd_per_hour` raised by who pays.",
        check_stack=_hourly_ceiling,
        types=(*accelerators.COUNTED, *karpenter.TYPES),
        settings={
            "usd_per_hour": Setting(
                20, {"type": "number", "minimum": 0}, "US dollars an hour, at on-demand prices of us-east-1."
            ),
            "prices": Setting(
                {},
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                "US dollars an hour by instance type: of those without a price, or instead of an estimate (ml.g5.xlarge).",
            ),
        },
        url="https://aws.amazon.com/ec2/pricing/on-demand/",
    ),
    Rule(
        name="bedrock-throughput-bounded",
        title="Provisioned throughput of a model is within bounds, and without commitment.",
        severity="high",
        why=(
            "A model unit is billed by the hour, called or not. At $20 an hour a forgotten one is $14,600 a month, and with a "
            "commitment of six months $88,000 that no deletion gives back."
        ),
        fix="Fewer model_units, no commitment_duration; or settings that who pays has raised.",
        check=_throughput,
        types=(_THROUGHPUT,),
        settings={
            "model_units": Setting(1, {"type": "integer", "minimum": 0}, "The most model units of one provisioned throughput."),
            "commitments": Setting([], STRINGS, "The commitments that may be entered: OneMonth, SixMonths."),
        },
        url="https://docs.aws.amazon.com/bedrock/latest/userguide/prov-throughput.html",
    ),
    Rule(
        name="budget-present",
        title="A stack that spends on models or accelerators has a budget that tells someone.",
        severity="medium",
        why=(
            "The bill comes once a month: a leaked key or a forgotten node is found after 30 days instead of one, at $24 a day "
            "for the smallest GPU and without any bound for model calls."
        ),
        fix=(
            "aws.budgets.Budget with notifications, or aws.costexplorer.AnomalySubscription with subscribers. Where another "
            "stack makes them, export an output `budget_waiver` whose text says so."
        ),
        check_stack=_budget_present,
        types=(budgets.BUDGET, budgets.ANOMALIES, _STACK, *_STARTING, *bedrock.POLICIES, *LIMITED),
        settings={**budgets.LIMITS, "boundaries": BOUNDARIES},
        url="https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-managing-costs.html",
    ),
)
