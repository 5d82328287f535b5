"""The budget: whom it notifies, when, and which costs it counts."""

from typing import Any

import pulumi
import pytest

import pulumi_llm
from support import programs

EMAIL = "ops@example.com"
TOPIC = "arn:aws:sns:us-east-1:123456789012:costs"


def budget(**settings: Any) -> dict[str, Any]:
    """The inputs of the budget that these settings make."""
    recording = programs.run(lambda: pulumi_llm.Observability("watch", {"budget": {"monthly_usd": 500, **settings}}))
    return recording.inputs("watch-budget")


def test_everyone_is_notified_of_what_is_spent_and_of_what_is_forecast() -> None:
    found = budget(emails=[EMAIL, "b@example.com"], topic_arn=TOPIC)
    assert (found["limitAmount"], found["limitUnit"], found["timeUnit"], found["budgetType"]) == (
        "500",
        "USD",
        "MONTHLY",
        "COST",
    )
    assert [(n["notificationType"], n["threshold"]) for n in found["notifications"]] == [
        ("ACTUAL", 50),
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]
    for each in found["notifications"]:
        assert each["subscriberEmailAddresses"] == [EMAIL, "b@example.com"]
        assert each["subscriberSnsTopicArns"] == [TOPIC]


@pytest.mark.assumes("budget-tag")
@pytest.mark.parametrize(
    ("given", "filters"), [({}, None), ({"cost_tag": {"key": "Project", "value": "chat"}}, "user:Project$chat")]
)
def test_it_counts_the_account_or_a_tag(given: dict[str, Any], filters: str | None) -> None:
    expected = [{"name": "TagKeyValue", "values": [filters]}] if filters else None
    assert budget(emails=[EMAIL], **given).get("costFilters") == expected


def test_what_decides_nothing_may_be_an_output() -> None:
    def program() -> None:
        output = pulumi.Output.from_input
        tag = {"key": "Project", "value": output("chat")}
        given = {"monthly_usd": output(99.5), "emails": [output(EMAIL)], "topic_arn": output(TOPIC), "cost_tag": tag}
        pulumi_llm.Observability("watch", {"budget": given})

    found = programs.run(program).inputs("watch-budget")
    assert found["limitAmount"] == "99.5"
    assert found["notifications"][0]["subscriberSnsTopicArns"] == [TOPIC]
    assert found["costFilters"] == [{"name": "TagKeyValue", "values": ["user:Project$chat"]}]


def test_a_topic_of_none_is_as_not_given() -> None:
    assert budget(emails=[EMAIL], topic_arn=None)["notifications"][0]["subscriberSnsTopicArns"] == []


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="budget: nothing is asked for; give budget"):
        programs.run(lambda: pulumi_llm.Observability("watch", {}))
    for amount in (0, 1e21, float("inf"), float("nan")):
        with pytest.raises(pulumi.InputPropertiesError, match=r"budget\.monthly_usd: must be"):
            budget(emails=[EMAIL], monthly_usd=amount)
    with pytest.raises(pulumi.InputPropertiesError, match=r"budget\.emails: is required, unless there is a topic_arn"):
        budget()
