"""The permissions boundary of every role that a program makes."""

import pulumi

_ROLE = "aws:iam/role:Role"


def role_boundary(policy_arn: pulumi.Input[str]) -> pulumi.ResourceTransformation:
    """Return a transformation that gives each role this permissions boundary, unless it has one.

    Register it for the whole stack (`pulumi.runtime.register_stack_transformation`) before the components are made, or give it
    to one component (`pulumi.ResourceOptions(transformations=[...])`), whose own it then is. What `customize` gives a role is
    the role's own, too.
    """

    def bounded(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != _ROLE or args.props.get("permissions_boundary") is not None:
            return None
        return pulumi.ResourceTransformationResult({**args.props, "permissions_boundary": policy_arn}, args.opts)

    return bounded
