"""The registry of types: each has one entry, of one service, and nothing is known of a type that nobody uses."""

import re

import pytest

from contract.test_components import CASES, recorded
from contract.test_examples import EXAMPLES
from pulumi_llm_local.aws_types.registry import SERVICES, TYPES
from support import foreign
from support.programs import ROOT, Recording, run_project

# What the components that come next need: delete a line when a program uses the type, or when none of them needs it any more.
PLANNED = {
    "aws:apigatewayv2/apiMapping:ApiMapping",
    "aws:apigatewayv2/domainName:DomainName",
    "aws:bedrock/inferenceProfile:InferenceProfile",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm",
    "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    "aws:kms/alias:Alias",
    "aws:lambda/layerVersion:LayerVersion",
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
    "aws:route53/zone:Zone",
    "aws:s3/bucketNotification:BucketNotification",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:sqs/redrivePolicy:RedrivePolicy",
    "aws:wafv2/ipSet:IpSet",
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
}


def test_each_type_has_one_service() -> None:
    claimed = [token for table in SERVICES for token in table]
    assert sorted(claimed) == sorted(TYPES)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own modules warn as they are imported
def test_every_type_is_used(dev: Recording, prod: Recording) -> None:
    recordings = [dev, prod, *(recorded(*case) for case in CASES), *(run_project(example, "dev") for example in EXAMPLES)]
    recordings += [foreign.run(name) for name in foreign.NAMES]
    used = {resource.type for recording in recordings for resource in recording.custom()}
    for file in (*ROOT.glob("tests/policy/programs/*.yaml"), *ROOT.glob("tests/releases/*/*.json")):
        used |= set(re.findall(r"aws:\w+/\w+:\w+", file.read_text()))
    assert set(TYPES) - used == PLANNED
