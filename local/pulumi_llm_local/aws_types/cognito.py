"""Cognito."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:cognito/userPool:UserPool": AwsType(
        api="cognito-idp CreateUserPool",
        replaced_by="aliasAttributes name usernameAttributes usernameConfiguration.caseSensitive",
        stateful="its users are lost with it",
        deletion_protection=("deletionProtection", "ACTIVE"),
    ),
    "aws:cognito/userPoolClient:UserPoolClient": AwsType(
        api="cognito-idp CreateUserPoolClient",
        replaced_by="generateSecret userPoolId",
        stateful="callers were given its id and secret by hand",
    ),
    "aws:cognito/userPoolDomain:UserPoolDomain": AwsType(
        api="cognito-idp CreateUserPoolDomain",
        replaced_by="domain userPoolId",
        stateful="callers have its address",
    ),
}
