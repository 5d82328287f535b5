"""Usage plans: the rate and the daily quota of each API key."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import pulumi
from pulumi_aws import apigateway

from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.settings import ApiKeySettings, Throttle
from pulumi_llm.base.component import Component
from pulumi_llm.base.settings import number_text


def usage_plans(
    component: Component,
    settings: Sequence[ApiKeySettings],
    made: Mapping[str, apigateway.ApiKey],
    api: Api,
    stage: apigateway.Stage,
    *,
    throttle: Throttle,
    daily_quota: pulumi.Input[int],
) -> dict[str, apigateway.UsagePlan]:
    """Make a coarse shield per key, in front of the function; return the plans by the keys' names.

    There is one plan for the keys without limits of their own, which has `throttle` and `daily_quota`, and one for each of the
    other keys.
    """
    plans: dict[str, apigateway.UsagePlan] = {}
    for key in settings:
        suffix = f"-{key.name}" if has_own_plan(key) else ""
        if suffix not in plans:
            limits = key.throttle.over(throttle)
            plans[suffix] = apigateway.UsagePlan(
                component.child_name("usage-plan") + suffix,
                api_stages=[{"api_id": api.id, "stage": stage.stage_name}],
                throttle_settings={"rate_limit": limits.rate_limit, "burst_limit": limits.burst_limit},
                quota_settings={"limit": daily_quota if key.daily_quota is None else key.daily_quota, "period": "DAY"},
                tags=component.tags,
                opts=component.child("usage-plan"),
            )
        apigateway.UsagePlanKey(
            f"{component.child_name('usage-plan-key')}-{key.name}",
            usage_plan_id=plans[suffix].id,
            key_id=made[key.name].id,
            key_type="API_KEY",
            # A key that moves to another plan has to leave the first: it is in one plan for each stage. The provider reads the
            # key's value here too, and does not mark it as a secret.
            # https://github.com/hashicorp/terraform-provider-aws/issues/26739
            opts=component.child("usage-plan-key", delete_before_replace=True, additional_secret_outputs=["value"]),
        )
    return {key.name: plans[f"-{key.name}" if has_own_plan(key) else ""] for key in settings}


def has_own_plan(key: ApiKeySettings) -> bool:
    """Whether a key has limits of its own."""
    return key.given("throttle") or key.given("daily_quota")


# What all functions of an account may run at once in a Region, unless AWS has lowered or raised it.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_ACCOUNT_CONCURRENCY = 1_000


def starvation_warnings(
    settings: Sequence[ApiKeySettings], *, throttle: Throttle, timeout_seconds: int, reserved: pulumi.Input[int] | None
) -> Iterator[str]:
    """Yield a warning for the keys of which one alone can hold every concurrent answer.

    A throttle counts requests as they come, so a key's calls in flight are its burst, and what its rate lets in while the
    longest answer takes. One key with concurrency of its own has nobody to starve.
    """
    enabled = [key for key in settings if key.enabled]
    if isinstance(reserved, pulumi.Output) or (reserved is not None and len(enabled) == 1):
        return
    available = _ACCOUNT_CONCURRENCY if reserved is None else cast("int", reserved)
    names: dict[Throttle, list[str]] = {}
    for key in enabled:
        names.setdefault(key.throttle.over(throttle), []).append(key.name)
    for limits, those in names.items():
        in_flight = limits.burst_limit + limits.rate_limit * timeout_seconds
        if in_flight < available:
            continue
        whose = f"the key {those[0]!r}" if len(those) == 1 else f"each of the keys {', '.join(map(repr, those))}"
        of = "that an account has by default" if reserved is None else "of reserved_concurrency"
        yield (
            f"{whose} can hold all {available:,} concurrent answers {of}: burst_limit {limits.burst_limit} + rate_limit "
            f"{number_text(limits.rate_limit)} * timeout_seconds {timeout_seconds} = {in_flight:,.0f} calls in flight. "
            f"Lower its throttle or timeout_seconds, or {'set' if reserved is None else 'raise'} reserved_concurrency"
        )
