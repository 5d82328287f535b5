"""A CDN that is up: what a change of its page or of its settings touches."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.stack import Stack
from support.programs import PAGE
from system.engine.conftest import names, program, succeeded

OWN_URL = {
    "function_url": "https://a1b2c3d4e5f6.lambda-url.us-east-1.on.aws/",
    "function_alias_arn": "arn:aws:lambda:us-east-1:123456789012:function:chat:live",
}
PROGRAM = """\
import pulumi
import pulumi_llm

api = {
    "api_url": "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/api",
    "api_stage_arn": "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/api",
}
pulumi_llm.CdnFrontend("web", {**api, **pulumi.Config().require_object("settings")})
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(PAGE, tmp_path_factory.mktemp("page") / "dist"))


@pytest.fixture(scope="module")
def stack(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The tests of this module share it, each with what the one before has left."""
    settings = {"folder": str(page), "deletion_protection": False}
    with program(tmp_path_factory.mktemp("cdn"), PROGRAM, settings=settings) as stack:
        succeeded(stack.up())
        yield stack


def touched(stack: Stack) -> dict[str, set[str]]:
    """What one more `up` does, by operation."""
    done = succeeded(stack.up())
    found = {operation: names(done, operation) for operation in ("create", "update", "replace", "delete")}
    return {operation: which for operation, which in found.items() if which}


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    assert touched(stack) == {}


def test_a_changed_file_is_uploaded_and_nothing_else(stack: Stack, page: Path) -> None:
    page.joinpath("favicon.svg").write_text("<svg/>")
    assert touched(stack) == {"update": {"web-file-favicon.svg"}}


def test_a_hashed_file_gets_another_name_and_is_there_before_the_page_names_it(stack: Stack, page: Path) -> None:
    new = page / "assets" / "index-AAAAAAAA.js"
    page.joinpath("assets", "index-nPIDOlCy.js").rename(new)
    new.write_text("document.title = 'another';")
    index = page / "index.html"
    index.write_text(index.read_text().replace("index-nPIDOlCy", "index-AAAAAAAA"))
    before = len(stack.cloud.calls)
    assert touched(stack) == {"replace": {"web-file-assets/index.js"}, "update": {"web-file-index.html"}}
    calls = [(call.verb, call.urn.rpartition("::")[2]) for call in stack.cloud.calls[before:]]
    script, html = "web-file-assets/index.js", "web-file-index.html"
    order = [calls.index(call) for call in (("create", script), ("update", html), ("delete", script))]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price_class": "PriceClass_All"}, {"update": {"web-distribution"}}),
        ({"allow_countries": ["DE"]}, {"update": {"web-distribution", "web-api-web-acl"}}),
        ({"waf": {"rate_limit": 500}}, {"update": {"web-web-acl", "web-api-web-acl"}}),
        (
            OWN_URL,
            {
                "create": {"web-function-access-control", "web-function-url-permission", "web-function-permission"},
                "update": {"web-distribution", "web-config"},
            },
        ),
        ({"log_retention_days": 90}, {"update": {"web-logs"}}),
        (
            {"waf": {"enabled": False}},
            {"update": {"web-distribution"}, "delete": {"web-web-acl", "web-api-web-acl", "web-api-web-acl-association"}},
        ),
    ],
)
def test_a_setting_touches_only_what_it_should(
    stack: Stack, page: Path, changes: dict[str, Any], expected: dict[str, set[str]]
) -> None:
    base = {"folder": str(page), "deletion_protection": False}
    stack.configure({"program:settings": base})
    succeeded(stack.up())
    stack.configure({"program:settings": {**base, **changes}})
    assert touched(stack) == expected
    assert touched(stack) == {}


@pytest.mark.parametrize(
    ("child", "replaced"),
    [
        # A distribution has one delivery source of a kind.
        ("log-source", {"web-log-source", "web-log-delivery"}),
        # A stage has one web ACL, and AWS takes it away, whichever it is, where an association is deleted.
        ("api-web-acl", {"web-api-web-acl", "web-api-web-acl-association"}),
    ],
)
def test_what_there_is_once_goes_before_what_replaces_it(stack: Stack, page: Path, child: str, replaced: set[str]) -> None:
    """The second change gives it a name that Pulumi makes, so that Pulumi would make the new one first."""
    for customize in ({child: {"name": "another"}}, {}):
        settings = {"folder": str(page), "deletion_protection": False, "customize": customize}
        stack.configure({"program:settings": settings})
        assert touched(stack)["replace"] == replaced


def test_a_region_has_nothing_of_the_cdns_own(stack: Stack) -> None:
    regions = {each.urn.rpartition("::")[2]: revealed(each.state).get("region") for each in stack.cloud}
    assert {name for name, region in regions.items() if region == "us-east-1"} >= {"web-web-acl", "web-logs", "web-log-source"}
