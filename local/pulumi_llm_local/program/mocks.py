"""Mocks for Pulumi's runtime that answer a program as AWS would: ids, ARNs and URLs in AWS's form."""

from collections.abc import Mapping
from typing import Any, cast

from pulumi.runtime import mocks

from pulumi_llm_local.aws_types import registry
from pulumi_llm_local.aws_types.account import AWS_PROVIDER, place_of
from pulumi_llm_local.aws_types.draft import ACCOUNT, Place
from pulumi_llm_local.program.given import STACK_REFERENCE, MissingValue, missing_answer


class AwsMocks(mocks.Mocks):
    """Mocks for a program's unit tests: ``pulumi.runtime.set_mocks(AwsMocks())``.

    A resource has the outputs that AWS would compute, in the Region and account of its provider, and AWS's functions about the
    account, its Region and its zones are answered.

    Attributes:
        resources: What was registered, in order: each with its type (`typ`), its name and its inputs, in camelCase.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        account: str = ACCOUNT,
        answers: Mapping[str, Mapping[str, Any]] | None = None,
        outputs: Mapping[str, Mapping[str, Any]] | None = None,
        seed: str = "",
    ) -> None:
        """
        Args:
            region: The Region of the default provider.
            account: The account of the default provider.
            answers: Answers of functions, by their tokens: ``{"aws:ec2/getVpc:getVpc": {"id": "vpc-1"}}``. They win.
            outputs: Outputs of other stacks, by a StackReference's name: ``{"org/network/dev": {"vpc_id": "vpc-1"}}``.
            seed: Another seed gives other ids and names.
        """
        self.resources: list[mocks.MockResourceArgs] = []
        self._place = Place(account=account, region=region, seed=seed)
        self._answers = answers or {}
        self._outputs = outputs or {}
        self._providers: dict[str, Place] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        inputs = cast("dict[str, Any]", args.inputs)  # pyright: ignore[reportUnknownMemberType]
        if args.typ == AWS_PROVIDER:
            self._providers[args.name] = place_of(inputs, self._place)
        if not args.custom and not args.resource_id:  # a component; a resource that is read has an id
            return "", {}
        if args.typ == STACK_REFERENCE:
            stack = str(args.resource_id)
            return stack, {"name": stack, "outputs": dict(self._outputs.get(stack, {})), "secretOutputNames": []}
        identifier, state = registry.outputs(args.typ, args.name, inputs, self._place_of(args.provider))
        return args.resource_id or identifier, state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        given = cast("dict[str, Any]", args.args)  # pyright: ignore[reportUnknownMemberType]
        if args.token in self._answers:
            return {**given, **self._answers[args.token]}, []
        try:
            return dict(registry.invoke(args.token, given, self._place_of(args.provider))), []
        except LookupError as error:
            raise MissingValue(missing_answer(args.token, "AWS's answer is not known here")) from error

    def _place_of(self, provider: str | None) -> Place:
        """Where a provider is. `provider` is its URN and id; empty for the default one."""
        _, _, kind, name, *_ = (provider or ":: :: :: ::").split("::")
        return self._providers.get(name, self._place) if kind.endswith(AWS_PROVIDER) else self._place
