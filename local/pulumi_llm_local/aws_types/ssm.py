"""Systems Manager's parameters."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, Answer, AwsType, Outputs, ValueRule
from pulumi_llm_local.aws_types.draft import Draft, drawn

_API: Final = AWS_DOCS + "systems-manager/latest/APIReference/API_PutParameter.html"


def _ssm_parameter(draft: Draft) -> Outputs:
    """A name that begins with a slash doesn't repeat it in the ARN."""
    path = draft.physical_name.lstrip("/")
    return {
        "id": "{name}",
        "arn": f"arn:{{partition}}:ssm:{{region}}:{{account}}:parameter/{path}",
        "dataType": "text",
        "hasValueWo": False,
        "tier": "Standard",
        "version": 1,
    }


def _parameter(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """The standard tier has the smaller values."""
    high = 4096 if inputs.get("tier", "Standard") == "Standard" else 8192
    return {name: ValueRule(_API, high=high) for name in ("value", "insecureValue")}


def _public_parameter(call: Draft) -> Answer:
    """A public parameter: the id of a machine image where the name asks for one."""
    name = call.text("name")
    value = f"ami-{drawn(name, 17, '0123456789abcdef')}" if "ami" in name else drawn(name, 16, "abcdefghij")
    return {
        "id": name,
        "name": name,
        "arn": f"arn:{call.partition}:ssm:{call.region}:{call.account}:parameter/{name.lstrip('/')}",
        "region": call.region,
        "type": "String",
        "value": value,
        "insecureValue": value,
        "version": 1,
        "withDecryption": True,
    }


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:ssm/parameter:Parameter": AwsType(
        outputs=_ssm_parameter,
        replaced_by="dataType name",
        stateful="its value is lost with it",
        rules={"dataType": ValueRule(_API, values=("text", "aws:ec2:image", "aws:ssm:integration"))},
        rules_by_inputs=_parameter,
    )
}

INVOKES: Final[Mapping[str, Callable[[Draft], Answer]]] = {"aws:ssm/getParameter:getParameter": _public_parameter}
