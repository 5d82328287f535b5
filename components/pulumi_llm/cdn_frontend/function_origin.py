"""The function's own URL as an origin, for the page's stream of Server-Sent Events.

The URL asks for AWS signatures. CloudFront signs its requests with origin access control, and only this distribution may call.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-lambda.html
"""

import pulumi
from pulumi_aws import cloudfront, lambda_

from pulumi_llm.base.component import Component


def let_cdn_call(component: Component, alias_arn: pulumi.Input[str], distribution: cloudfront.Distribution) -> None:
    """Let the distribution, and no other, call the function by its URL and in no other way.

    A function URL asks for both permissions. https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """
    function_arn, alias = _part(alias_arn, 0), _part(alias_arn, 1)
    lambda_.Permission(
        component.child_name("function-url-permission"),
        action="lambda:InvokeFunctionUrl",
        function_url_auth_type="AWS_IAM",
        function=function_arn,
        qualifier=alias,
        principal="cloudfront.amazonaws.com",
        source_arn=distribution.arn,
        opts=component.child("function-url-permission"),
    )
    lambda_.Permission(
        component.child_name("function-permission"),
        action="lambda:InvokeFunction",
        invoked_via_function_url=True,
        function=function_arn,
        qualifier=alias,
        principal="cloudfront.amazonaws.com",
        source_arn=distribution.arn,
        opts=component.child("function-permission"),
    )


def _part(alias_arn: pulumi.Input[str], index: int) -> pulumi.Output[str]:
    """Return the function's ARN (0) or the alias's name (1)."""
    return pulumi.Output.from_input(alias_arn).apply(lambda arn: arn.rsplit(":", 1)[index])
