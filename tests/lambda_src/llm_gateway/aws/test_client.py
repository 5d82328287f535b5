"""The addresses of AWS's services."""

import json
from pathlib import Path

import botocore
import pytest

from llm_gateway.aws.client import Aws
from llm_gateway.aws.regions import dns_suffix
from llm_gateway.http.client import HttpClient


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://localhost:1/"}, "http://localhost:1"),
        ({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://localhost:2"}, "http://localhost:2"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://b:2"}, "http://b:2"),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:3"}, "https://bedrock-runtime.eu-west-1.amazonaws.com"),
    ],
)
def test_a_services_address(environ: dict[str, str], expected: str) -> None:
    fixed = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert Aws(HttpClient(), {**fixed, **environ}).endpoint("bedrock-runtime") == expected


def test_each_partition_has_its_domain() -> None:
    """botocore's list of the partitions."""
    partitions = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    named = {
        region: each["outputs"]["dnsSuffix"] for each in partitions for region in each["regions"] if "global" not in region
    }
    assert {region: dns_suffix(region) for region in named} == named
