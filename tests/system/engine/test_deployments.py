"""What a program changes of the REST API reaches its stage: by transforms of either kind, and where a function is replaced."""

from pathlib import Path
from typing import Any

import pytest

from system.engine.conftest import names, program, succeeded

# A transform that returns the options of a resource drops an option that is False.
PROGRAM = """\
import pulumi
import pulumi_llm

config = pulumi.Config()
METHOD = "aws:apigateway/method:Method"

def by_the_engine(args):
    header = {"requestParameters": {f"method.request.header.{config.require('header')}": True}} if args.type_ == METHOD else {}
    return pulumi.ResourceTransformResult({**args.props, **header}, args.opts)

def by_the_sdk(args):
    header = {"request_parameters": {f"method.request.header.{config.require('header')}": True}} if args.type_ == METHOD else {}
    return pulumi.ResourceTransformationResult({**args.props, **header}, args.opts)

if config.require("by") == "transforms":
    pulumi.runtime.register_resource_transform(by_the_engine)
else:
    pulumi.runtime.register_stack_transformation(by_the_sdk)
function = config.get_object("function") or {}
args = {"models": ["gpt-oss-20b"], "access_logs": False, "customize": {"function": function}}
pulumi_llm.ServerlessBedrockApi("chat", args)
"""


DURABLE = {"durable_config": {"execution_timeout": 60, "retention_period": 1}}


# A function with a name of its own has to be deleted first, and its alias with it.
@pytest.mark.parametrize(
    ("by", "function", "always_there"),
    [("transforms", {"name": "chat"}, False), ("transforms", DURABLE, False), ("transformations", DURABLE, True)],
    ids=["transforms, a name", "transforms", "transformations"],
)
def test_what_a_program_changes_reaches_the_stage(
    by: str, function: dict[str, Any], always_there: bool, tmp_path: Path
) -> None:
    with program(tmp_path, PROGRAM, by=by, header="A") as stack:
        succeeded(stack.up())
        assert set(succeeded(stack.up()).steps().values()) == {"same"}
        stack.configure({"header": "B"})
        preview = succeeded(stack.preview())
        done = succeeded(stack.up())
        assert names(done, "replace") == {"chat-deployment"}
        assert done.steps() == preview.steps()
        # The function is replaced, and with it the alias, which every integration calls.
        stack.configure({"header": "B", "function": function})
        made = len(stack.cloud.calls)
        done = succeeded(stack.up())
        assert {"chat-function", "chat-alias", "chat-deployment"} <= names(done, "replace")
        calls = [f"{call.verb} {call.urn.rpartition('::')[2]}" for call in stack.cloud.calls[made:]]
        moved = calls.index("update chat-stage")
        assert calls.index("create chat-permission") < calls.index("create chat-deployment") < moved
        assert moved < calls.index("delete chat-deployment")
        assert (calls.index("delete chat-alias") > moved) == always_there
