"""What a program reads from elsewhere, where no account answers: outputs of other stacks, results of AWS's functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi


class MissingValue(LookupError):
    """The program asks for a value that is not there; the text names it, and the option that gives it."""


@dataclass(frozen=True)
class Given:
    """The values that a user gives.

    `outputs` are those of other stacks, by the stack's name as the program's StackReference has it and by their own.
    `answers` are those of the provider's functions, by their tokens: ``{"aws:ec2/getVpc:getVpc": {"id": "vpc-1"}}``.
    """

    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


STACK_REFERENCE = "pulumi:pulumi:StackReference"


# What `missing_answer` gives, within the text of another error.
MISSING_ANSWER = re.compile(r"\S+: [^:]*; give its answer with --invoke '.*'")


def missing_answer(token: str, reason: str) -> str:
    """The text for a function that has no answer."""
    return f"""{token}: {reason}; give its answer with --invoke '{token}={{"PROPERTY": "VALUE"}}'"""


class _Outputs(dict[str, Any]):
    """The outputs of another stack; one that was not given is a mistake, not None."""

    stack = ""

    def __missing__(self, name: str) -> Any:
        reason = f"the output {name} of the stack {self.stack} is not known here"
        raise MissingValue(f"{reason}; give it with --output {self.stack}:{name}=VALUE")

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def read_given_outputs() -> None:
    """Have each `pulumi.StackReference` of this process name the output that it lacks. The process is the program's own."""
    original = pulumi.StackReference.__init__

    def init(
        self: pulumi.StackReference, name: str, stack_name: str | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        original(self, name, stack_name, opts)

        def named(values: Mapping[str, Any] | None) -> dict[str, Any]:
            outputs = _Outputs(values or {})
            outputs.stack = stack_name or name
            return outputs

        self.outputs = self.outputs.apply(named)

    def output(self: pulumi.StackReference, name: pulumi.Input[str]) -> pulumi.Output[Any]:
        return pulumi.Output.from_input(name).apply(lambda each: self.outputs[each])

    pulumi.StackReference.__init__ = init
    # The SDK's own copy the outputs into a plain dictionary first.
    pulumi.StackReference.get_output = pulumi.StackReference.require_output = output
