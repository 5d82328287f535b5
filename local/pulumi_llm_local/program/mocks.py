"""Mocks for Pulumi's runtime that answer a program as AWS would: ids, ARNs and URLs in AWS's form."""

from collections.abc import Mapping
from typing import Any

from pulumi.runtime import mocks

from pulumi_llm_local.aws_types import registry
from pulumi_llm_local.aws_types.account import AWS_PROVIDER, place_of
from pulumi_llm_local.aws_types.draft import ACCOUNT, Place


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
        seed: str = "",
    ) -> None:
        """
        Args:
            region: The Region of the default provider.
            account: The account of the default provider.
            answers: Answers of functions, by their tokens: ``{"aws:ec2/getVpc:getVpc": {"id": "vpc-1"}}``. They win.
            seed: Another seed gives other ids and names.
        """
        self.resources: list[mocks.MockResourceArgs] = []
        self._place = Place(account=account, region=region, seed=seed)
        self._answers = answers or {}
        self._providers: dict[str, Place] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        if args.typ == AWS_PROVIDER:
            self._providers[args.name] = place_of(args.inputs, self._place)
        if not args.custom and not args.resource_id:  # a component; a resource that is read has an id
            return "", {}
        identifier, state = registry.outputs(args.typ, args.name, args.inputs, self._place_of(args.provider))
        return args.resource_id or identifier, state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token in self._answers:
            return {**args.args, **self._answers[args.token]}, []
        return dict(registry.invoke(args.token, args.args, self._place_of(args.provider))), []

    def _place_of(self, provider: str | None) -> Place:
        """Where a provider is. `provider` is its URN and id; empty for the default one."""
        _, _, kind, name, *_ = (provider or ":: :: :: ::").split("::")
        return self._providers.get(name, self._place) if kind.endswith(AWS_PROVIDER) else self._place
