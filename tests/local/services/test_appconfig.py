"""The local AppConfig, called by boto3 as operators and functions call AWS's."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from support.appconfig import APPLICATION, ENVIRONMENT, PROFILE, STRATEGY, Deployed
from support.clock import Now
from support.local_bedrock import KEYS, REGION

SCHEMA = json.dumps({"type": "object", "properties": {"on": {"type": "boolean"}}, "additionalProperties": False})
OF_PROFILE = {"ApplicationId": APPLICATION, "ConfigurationProfileId": PROFILE}
OF_ENVIRONMENT = {"ApplicationId": APPLICATION, "EnvironmentId": ENVIRONMENT}
Call = Callable[..., Any]


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def appconfig(now: Now) -> AsyncIterator[Deployed]:
    async with Deployed(SCHEMA, clock=now).serve() as appconfig:
        yield appconfig


@pytest.fixture
def call(appconfig: Deployed) -> Call:
    """Call an operation of one of the two APIs by boto3, beside the loop that answers it."""

    async def call(service: str, operation: str, **arguments: Any) -> Any:
        client: Any = boto3.client(
            service,  # type: ignore[arg-type]
            region_name=REGION,
            endpoint_url=appconfig.url,
            aws_access_key_id=KEYS.access_key,
            aws_secret_access_key=KEYS.secret_key,
        )
        answer = await asyncio.to_thread(getattr(client, operation), **arguments)
        if "Configuration" in answer:
            answer["Configuration"] = answer["Configuration"].read()
        return answer

    return call


async def create(call: Call, document: Any, **more: Any) -> int:
    content = json.dumps(document).encode()
    made = await call(
        "appconfig",
        "create_hosted_configuration_version",
        **OF_PROFILE,
        Content=content,
        ContentType="application/json",
        **more,
    )
    return made["VersionNumber"]


async def deploy(call: Call, version: Any, strategy: str = STRATEGY) -> Any:
    more = {"ConfigurationProfileId": PROFILE, "ConfigurationVersion": str(version), "DeploymentStrategyId": strategy}
    return await call("appconfig", "start_deployment", **OF_ENVIRONMENT, **more)


async def refused(call: Any) -> Any:
    with pytest.raises(ClientError) as raised:
        await call
    return raised.value.response


async def test_a_document_is_written_deployed_and_read(call: Call, now: Now) -> None:
    assert await create(call, {"on": True}, VersionLabel="one", Description="first") == 1
    done = await deploy(call, "one")
    assert (done["State"], done["DeploymentNumber"], done["ConfigurationVersion"]) == ("COMPLETE", 1, "1")
    session = await call(
        "appconfigdata",
        "start_configuration_session",
        ApplicationIdentifier="the-flags",  # by names, too
        EnvironmentIdentifier="the-functions",
        ConfigurationProfileIdentifier="the-profile",
        RequiredMinimumPollIntervalInSeconds=15,
    )
    first = await call("appconfigdata", "get_latest_configuration", ConfigurationToken=session["InitialConfigurationToken"])
    assert (json.loads(first["Configuration"]), first["VersionLabel"]) == ({"on": True}, "one")
    assert (first["NextPollIntervalInSeconds"], first["ContentType"]) == (15, "application/json")
    # A token is good once, and not before its time.
    again = await refused(
        call("appconfigdata", "get_latest_configuration", ConfigurationToken=session["InitialConfigurationToken"])
    )
    assert (again["Error"]["Code"], again["Reason"]) == ("BadRequestException", "InvalidParameters")
    now.seconds += 15
    second = await call("appconfigdata", "get_latest_configuration", ConfigurationToken=first["NextPollConfigurationToken"])
    assert (second["Configuration"], second.get("VersionLabel", "")) == (b"", "")
    early = await refused(
        call("appconfigdata", "get_latest_configuration", ConfigurationToken=second["NextPollConfigurationToken"])
    )
    assert early["Details"] == {"InvalidParameters": {"ConfigurationToken": {"Problem": "PollIntervalNotSatisfied"}}}


async def test_a_document_that_is_wrong_is_not_deployed(call: Call) -> None:
    version = await create(call, {"on": "yes"})
    error = await refused(deploy(call, version))
    assert (error["Error"]["Code"], error["Reason"]) == ("BadRequestException", "InvalidConfiguration")
    (detail,) = error["Details"]["InvalidConfiguration"]
    assert (detail["Location"], detail["Constraint"]) == ("/on", "type")
    same = await refused(call("appconfig", "validate_configuration", **OF_PROFILE, ConfigurationVersion=str(version)))
    assert same["Details"] == error["Details"]
    assert (await call("appconfig", "list_deployments", **OF_ENVIRONMENT))["Items"] == []


async def test_a_deployment_that_bakes_keeps_the_next_one_out(call: Call, now: Now) -> None:
    for _ in range(2):
        await create(call, {})
    assert (await deploy(call, 1, "AppConfig.AllAtOnce"))["State"] == "BAKING"
    assert (await refused(deploy(call, 2)))["Error"]["Code"] == "ConflictException"
    now.seconds += 10 * 60
    assert (await deploy(call, 2))["DeploymentNumber"] == 2
    listed = (await call("appconfig", "list_deployments", **OF_ENVIRONMENT))["Items"]
    assert [each["DeploymentNumber"] for each in listed] == [2, 1]


async def test_what_is_not_there(call: Call) -> None:
    for failing in (
        deploy(call, 7),
        create_elsewhere(call),
        call("appconfig", "get_deployment", **OF_ENVIRONMENT, DeploymentNumber=1),
        call(
            "appconfigdata",
            "start_configuration_session",
            ApplicationIdentifier=APPLICATION,
            EnvironmentIdentifier="none",
            ConfigurationProfileIdentifier=PROFILE,
        ),
    ):
        assert (await refused(failing))["Error"]["Code"] == "ResourceNotFoundException"


async def create_elsewhere(call: Call) -> Any:
    more = {"ApplicationId": "zzzz123", "ConfigurationProfileId": PROFILE, "Content": b"{}", "ContentType": "text/plain"}
    return await call("appconfig", "create_hosted_configuration_version", **more)


async def test_versions_are_kept_and_their_labels_are_their_own(call: Call) -> None:
    await create(call, {"on": True}, VersionLabel="one")
    assert (await refused(create(call, {}, VersionLabel="one")))["Error"]["Code"] == "ConflictException"
    assert (await refused(create(call, {}, LatestVersionNumber=7)))["Error"]["Code"] == "ConflictException"
    assert await create(call, {}, LatestVersionNumber=1) == 2
    listed = (await call("appconfig", "list_hosted_configuration_versions", **OF_PROFILE))["Items"]
    assert [(each["VersionNumber"], each.get("VersionLabel")) for each in listed] == [(2, None), (1, "one")]
    found = await call("appconfig", "get_hosted_configuration_version", **OF_PROFILE, VersionNumber=1)
    assert json.loads(found["Content"].read()) == {"on": True}
