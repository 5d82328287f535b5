"""The pages for who is stuck: every field, command, setting, answer and heading that they name is there."""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from functools import cache

import botocore.session
import pytest
from botocore import xform_name

from llm_gateway.errors import ERROR_KINDS, statuses
from pulumi_llm.serverless_bedrock_api import stage
from pulumi_llm.stack_settings import StackSettings
from support.programs import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from describe import setting_rows

PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("bootstrap", "troubleshooting", "deployment")}
PAGE = PAGES["troubleshooting"]

# Logs Insights' own.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
BUILT_IN = {"@timestamp", "@message"}
# What Lambda writes of an invocation where the function logs JSON, as ours do.
# https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#platform-report
REPORT = {"type", "record.requestId", "record.status"}
METRICS = "durationMs initDurationMs maxMemoryUsedMB memorySizeMB".split()  # noqa: SIM905
BUILT_IN |= REPORT | {f"record.metrics.{name}" for name in METRICS}
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
LANGUAGE = set("fields filter stats by in like or and avg max sum count pct bin ispresent m h".split())  # noqa: SIM905


def fences(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def written_fields() -> set[str]:
    """The keys of the function's lines and of the access log."""
    telemetry = (ROOT / "lambda_src" / "llm_gateway" / "telemetry.py").read_text()
    access_log: Mapping[str, str] = vars(stage)["_ACCESS_LOG"]
    return {*re.findall(r'"([a-z_]+(?:\.[a-z_]+)*)"(?=:|\] ?=)', telemetry), *access_log}


def query_fields(query: str) -> set[str]:
    """What a query of Logs Insights names: its words, without strings, patterns, numbers and the language's own."""
    bare = re.sub(r'"[^"]*"|/[^/]*/|(?<![\w.])\d[\w.]*', " ", query)
    # An array's items are numbered.
    words = {re.sub(r"\.\d+$", "", word) for word in re.findall(r"@?[A-Za-z_][\w.]*", bare)}
    return words - LANGUAGE


@pytest.mark.parametrize("query", fences(PAGE, "sql"))
def test_a_query_names_fields_that_are_written(query: str) -> None:
    assert query_fields(query) - written_fields() - BUILT_IN == set()
    assert query_fields(query)
    codes = {kind.code for kind in ERROR_KINDS}
    compared = re.findall(r'error\.type (?:= |in \[)((?:"\w+"(?:, )?)+)', query)
    assert {code for text in compared for code in re.findall(r"\w+", text)} <= codes


def test_a_field_that_is_not_written_would_be_found() -> None:
    assert query_fields("filter error.kind = 3 | stats sum(tokens) by failed_attempts.0") == {
        "error.kind",
        "tokens",
        "failed_attempts",
    }
    assert {"error.type", "failed_attempts.details", "request_id", "source_ip", "duration_ms"} <= written_fields()


def test_an_answer_has_its_status() -> None:
    """A row `| 429 or 503 `code`, `code` | …`."""
    known: dict[str, set[int]] = {}
    for kind in ERROR_KINDS:
        known.setdefault(kind.code, set()).update(statuses(kind))
    rows = re.findall(r"^\| ((?:\d{3}[^|]*?))\|", PAGE, re.MULTILINE)
    assert len(rows) > 12
    named: set[str] = set()
    for row in rows:
        for numbers, codes in re.findall(r"((?:\d{3}(?: or )?)+) ((?:`\w+`(?:, )?)+)", row):
            for code in re.findall(r"\w+", codes):
                if code == "code":  # "403 without `code`"
                    continue
                named.add(code)
                assert {int(number) for number in re.findall(r"\d{3}", numbers)} <= known[code], (code, known[code])
    assert len(named) > 12


# The AWS CLI, whose verbs and options come from the same models.

GLOBAL_OPTIONS = {"query", "output", "region", "profile"}
SERVICES = {"s3api": "s3"}


@cache
def operations(service: str) -> Mapping[str, str]:
    model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
    return {xform_name(name, "-"): name for name in model.operation_names}


def commands() -> Iterator[str]:
    for page in PAGES.values():
        for block in fences(page, ""):
            yield from (line for line in block.splitlines() if line.startswith("aws "))


def wrong(command: str) -> list[str]:
    """What the AWS CLI would not take of a command."""
    _, service, verb, *rest = shlex.split(re.sub(r"\$\(.*?\)", "0", command))
    if verb not in operations(service):
        return [f"{service} has no {verb}"]
    model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
    shape = model.operation_model(operations(service)[verb]).input_shape
    options = {xform_name(name, "-") for name in shape.members} if shape else set()
    given = {word.removeprefix("--") for word in rest if word.startswith("--")}
    required = {xform_name(name, "-") for name in shape.required_members} if shape else set()
    return [*(f"no --{name}" for name in given - options - GLOBAL_OPTIONS), *(f"lacks --{name}" for name in required - given)]


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_is_one_of_the_aws_cli(command: str) -> None:
    assert wrong(command) == []


def test_a_command_that_is_none_would_be_found() -> None:
    assert len(set(commands())) > 25
    assert wrong("aws bedrock put-use-case --form-data x") == ["bedrock has no put-use-case"]
    assert wrong("aws lambda get-function-concurrency --function f") == ["no --function", "lacks --function-name"]


@pytest.mark.parametrize("name", PAGES)
def test_a_setting_that_is_named_is_there(name: str) -> None:
    paths = {path for path, _, _ in setting_rows(StackSettings)}
    texts = re.findall(r"`((?:api|account_baseline|observability)\.[a-z_.\[\]]+)[:`]", PAGES[name])
    assert {text.removesuffix(".") for text in texts} - paths == set()


def test_who_is_stuck_finds_the_page() -> None:
    for path in ("README.md", "docs/bootstrap.md", ".github/workflows/deploy.yml", "components/pulumi_llm/stack_settings.py"):
        assert "troubleshooting.md" in (ROOT / path).read_text(), path
    for path in ("README.md", "docs/deployment.md"):
        assert "bootstrap.md" in (ROOT / path).read_text(), path
