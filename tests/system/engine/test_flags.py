"""The feature flags' configuration: the program makes it, and what operators write in it stays theirs."""

from pathlib import Path

import pytest

from pulumi_llm_local.engine.stack import Stack
from system.engine.conftest import names, program, succeeded

PROGRAM = """\
import pulumi, pulumi_llm

config = pulumi.Config()
models = [{"name": name, "model": "mock"} for name in config.require("models").split(",")]
strategy = {"name": config.get("strategy")} if config.get("strategy") else {}
pulumi_llm.ServerlessBedrockApi("chat", {
    "models": models,
    "access_logs": False,
    "deletion_protection": False,
    "flags": config.get_bool("flags", True),
    "customize": {"flags-strategy": strategy} if strategy else {},
})
"""
KINDS = {
    "aws:appconfig/application:Application",
    "aws:appconfig/configurationProfile:ConfigurationProfile",
    "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion",
}


@pytest.mark.assumes("appconfig-owner")
def test_the_document_is_the_operators_from_the_first_up_to_destroy(tmp_path: Path) -> None:
    with program(tmp_path, PROGRAM, models="one") as stack:
        succeeded(stack.up())
        (profile,) = stack.cloud.of_type("aws:appconfig/configurationProfile:ConfigurationProfile")
        assert names(succeeded(stack.up()), "create", "update", "replace", "delete") == set()
        # Another alias changes the validator in place, and deploys no document.
        stack.configure({"models": "one,two"})
        done = succeeded(stack.up())
        assert {name for name in names(done, "update", "create", "replace", "delete") if "flags" in name} == {
            "chat-flags-profile"
        }
        # Another strategy is another resource; the document that is deployed stays so.
        stack.configure({"models": "one,two", "strategy": "now"})
        done = succeeded(stack.up())
        assert {name for name in names(done, "replace") if "flags" in name} == {"chat-flags-strategy"}
        assert {name for name in names(done, "update", "create", "delete") if "flags" in name} <= {"chat-flags-strategy"}
        with pytest.raises(Exception, match="there are still hosted configuration versions"):
            stack.cloud.delete(profile.token, profile.id, "urn", profile.state)
        succeeded(stack.destroy())
        assert {each.token for each in stack.cloud} == KINDS


def test_flags_are_switched_off_and_on_again(tmp_path: Path) -> None:
    with program(tmp_path, PROGRAM, models="one") as stack:
        for flags in ("true", "false", "true"):
            stack.configure({"models": "one", "flags": flags})
            succeeded(Stack.up(stack))  # what is kept is in no state
