"""Usage plans: the rate and the daily quota of each API key."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import apigateway

from pulumi_llm.api_edge.settings import ApiKeySettings, Throttle
from pulumi_llm.base.component import Component


def usage_plans(
    component: Component,
    settings: Sequence[ApiKeySettings],
    made: Mapping[str, apigateway.ApiKey],
    api: apigateway.RestApi,
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
            # A key that moves to another plan has to leave the first: it is in one plan for each stage.
            opts=component.child("usage-plan-key", delete_before_replace=True),
        )
    return {key.name: plans[f"-{key.name}" if has_own_plan(key) else ""] for key in settings}


def has_own_plan(key: ApiKeySettings) -> bool:
    """Whether a key has limits of its own."""
    return key.given("throttle") or key.given("daily_quota")
