"""The kinds of the charts, which Pulumi's SDK has no classes for: so that what is in them can be changed by `customize`."""

from typing import Any, ClassVar

import pulumi
import pulumi_kubernetes as kubernetes


class _CustomResource(kubernetes.apiextensions.CustomResource):
    """An object of a kind that a chart defines."""

    api_version_of: ClassVar[str]
    pulumi_type: ClassVar[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **fields: Any) -> None:
        super().__init__(name, api_version=self.api_version_of, kind=type(self).__name__, opts=opts, **fields)  # pyright: ignore[reportUnknownMemberType]


@pulumi.input_type
class _ObjectArgs:
    """What all objects have."""

    def __init__(self, *, metadata: Any = None, spec: Any = None) -> None:
        pulumi.set(self, "metadata", metadata)  # pyright: ignore[reportUnknownMemberType]
        pulumi.set(self, "spec", spec)  # pyright: ignore[reportUnknownMemberType]

    @property
    @pulumi.getter
    def metadata(self) -> Any:
        """Names and labels."""
        return pulumi.get(self, "metadata")  # pyright: ignore[reportUnknownMemberType]

    @property
    @pulumi.getter
    def spec(self) -> Any:
        """What is wanted."""
        return pulumi.get(self, "spec")  # pyright: ignore[reportUnknownMemberType]


class TargetGroupBinding(_CustomResource):
    """https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/targetgroupbinding/spec/"""

    api_version_of = "elbv2.k8s.aws/v1beta1"
    pulumi_type = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"


class ScaledObject(_CustomResource):
    """https://keda.sh/docs/latest/reference/scaledobject-spec/"""

    api_version_of = "keda.sh/v1alpha1"
    pulumi_type = "kubernetes:keda.sh/v1alpha1:ScaledObject"


class TriggerAuthentication(_CustomResource):
    """https://keda.sh/docs/latest/concepts/authentication/"""

    api_version_of = "keda.sh/v1alpha1"
    pulumi_type = "kubernetes:keda.sh/v1alpha1:TriggerAuthentication"


# Where Pulumi's classes have theirs, too.
TargetGroupBindingArgs = ScaledObjectArgs = TriggerAuthenticationArgs = _ObjectArgs
