"""What a function's role may do to call what is routed, and whether IAM takes a policy of that length."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import get_caller_identity_output

from pulumi_llm.base.component import Component
from pulumi_llm.base.function_settings import PolicySettings
from pulumi_llm.base.iam import ROLE_POLICY_CHARACTERS, invoke_models, policy_document, read_secrets, send_messages
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import Problem
from pulumi_llm.routing.routing import ARN_LENGTH, Routing


def model_policies(
    component: Component, routing: Routing, location: Location
) -> Mapping[str, pulumi.Input[Sequence[Mapping[str, Any]]]]:
    """Documents of their own, of values that are known at preview, so that policies can judge them there."""
    policies: dict[str, pulumi.Input[Sequence[Mapping[str, Any]]]] = {}
    if routing.models or routing.output_models:
        account = get_caller_identity_output(opts=component.invoke_options()).account_id
        if routing.models:
            policies["bedrock-policy"] = account.apply(lambda account: invoke_models(routing.models, location, account))
        if routing.output_models:
            # A document of their own, for it is not known at preview.
            known = pulumi.Output.all(account, *(model.resolved for model in routing.output_models))
            policies["bedrock-output-policy"] = known.apply(lambda known: invoke_models(known[1:], location, known[0]))
    if routing.secret_arns:
        policies["secrets-policy"] = read_secrets(routing.secret_arns, routing.kms_key_arns, location.region)
    if routing.queue_arns:
        policies["wake-policy"] = send_messages(routing.queue_arns, routing.queue_kms_key_arns, location.region)
    return policies


def policy_problems(routing: Routing, own: PolicySettings | None, location: Location) -> Iterator[Problem]:
    """Yield what is wrong where the models, secrets and queues need a longer policy than IAM allows a role.

    Beside it the role has a policy of at most some 500 characters for its logs. An ARN that is not known yet counts with the
    length of one.
    """

    def known(arns: Sequence[pulumi.Input[str]], length: int = ARN_LENGTH) -> list[str]:
        return [arn if isinstance(arn, str) else "?" * length for arn in arns]

    read = read_secrets(known(routing.secret_arns), known(routing.kms_key_arns, 80), location.region)
    send = send_messages(known(routing.queue_arns), known(routing.queue_kms_key_arns, 80), location.region)
    later = [model.expected for model in routing.output_models]
    invoke = [*invoke_models(routing.models, location, "0" * 12), *invoke_models(later, location, "0" * 12)]
    length = _length([*invoke, *read, *send])
    allowed = ROLE_POLICY_CHARACTERS - 500
    if length > allowed:
        reason = f"need a policy of {length:,} characters, and IAM allows a role {ROLE_POLICY_CHARACTERS:,}; give fewer models"
        yield Problem("models", reason)
    inline = own.inline.values() if own is not None and own.valid("inline") else ()
    added = sum(_length(statements) for statements in inline if isinstance(statements, tuple))
    if length <= allowed < length + added:
        reason = (
            f"have {added:,} characters beside the {length + 500:,} of the component's own policies, and IAM allows a role "
            f"{ROLE_POLICY_CHARACTERS:,}; give managed policies"
        )
        yield Problem("policies.inline", reason)


def _length(statements: Sequence[Mapping[str, Any]]) -> int:
    """The characters of a policy, spaces not counted. An Output counts with the length of an ARN."""
    document = policy_document(*map(dict, statements))
    return len(json.dumps(document, separators=(",", ":"), default=lambda _: "?" * ARN_LENGTH))
