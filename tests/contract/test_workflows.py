"""The GitHub workflows: what actionlint says of them, and the rules that it does not know; and other tools' YAML files.

Each rule is a function of a document that yields what is wrong with it, so that a bad document can prove that it is held.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.go_tools import go_tool
from support.programs import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# The linter may have to be built first.

Document = Mapping[Any, Any]

# Actions that are pinned by a major version's tag, for want of a commit that two sources confirm.
PINNED_BY_TAG: frozenset[str] = frozenset()


def read(text: str) -> Document:
    return yaml.safe_load(text)


def documents() -> list[Any]:
    return [pytest.param(read(path.read_text()), id=path.stem) for path in WORKFLOWS]


def events(document: Document) -> set[str]:
    """What starts the workflow. YAML 1.1 reads the key `on` as true."""
    on = document[True]
    return {on} if isinstance(on, str) else set(on)


def steps(document: Document) -> Iterator[tuple[str, Document]]:
    for job, described in document["jobs"].items():
        for step in described.get("steps", []):
            yield job, step


# actionlint.


@pytest.fixture(scope="session")
def actionlint() -> Path:
    return go_tool("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")


def lint(actionlint: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """actionlint over files; its own integrations only where their programs are here."""
    options = [f"-{name}=" for name in ("shellcheck", "pyflakes") if shutil.which(name) is None]
    return subprocess.run(
        [actionlint, "-no-color", *options, *paths], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )


def test_actionlint_finds_nothing(actionlint: Path) -> None:
    done = lint(actionlint, *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ github.event.pull_request.title }}'}]",
            "potentially untrusted",
        ),
        ("    runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ steps.none.outputs.any }}'}]", '"none" is not defined'),
        ("    runs-on: ubuntu-latest\n    needs: nobody\n    steps: [{run: 'true'}]", 'needs job "nobody"'),
        ("    runs-on: ubuntu-latest\n    timeout: 5\n    steps: [{run: 'true'}]", 'unexpected key "timeout"'),
    ],
)
def test_actionlint_fails_for_a_wrong_workflow(actionlint: Path, tmp_path: Path, wrong: str, said: str) -> None:
    workflow = tmp_path / "wrong.yml"
    workflow.write_text(f"on: pull_request\njobs:\n  wrong:\n{wrong}\n")
    done = lint(actionlint, workflow)
    assert done.returncode == 1
    assert said in done.stdout


# The rules.


def unlimited(document: Document) -> Iterator[str]:
    """A job has its own permissions, none of them all-embracing, and ends by itself."""
    for name, job in document["jobs"].items():
        if not isinstance(job.get("permissions"), dict):
            yield f"{name} lists no permissions"
        if "timeout-minutes" not in job:
            yield f"{name} has no timeout-minutes"
    if document.get("permissions") != {}:
        yield "the workflow grants permissions to every job"


def unpinned(document: Document) -> Iterator[str]:
    """An action is pinned by a commit, or by a tag where it is listed."""
    for job, step in steps(document):
        uses = step.get("uses")
        if uses is None or re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", uses):
            continue
        if uses not in PINNED_BY_TAG or not re.search(r"@v\d+$", uses):
            yield f"{job} uses {uses}"


def injectable(document: Document) -> Iterator[str]:
    """A script takes what others wrote from its environment, never by interpolation."""
    for job, step in steps(document):
        for expression in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", ""), re.DOTALL):
            if re.search(r"\bgithub\s*(\.|\[\s*')\s*(event|head_ref|ref_name)\b", expression) or "inputs." in expression:
                yield f"{job} interpolates {expression.strip()}"


def persisting(document: Document) -> Iterator[str]:
    """A checkout leaves no token behind."""
    for job, step in steps(document):
        checkout = str(step.get("uses", "")).startswith("actions/checkout@")
        if checkout and step.get("with", {}).get("persist-credentials") is not False:
            yield f"{job} leaves the checkout's token in the folder"


def open_to_forks(document: Document) -> Iterator[str]:
    """A job that can assume a role, or that is given a secret, does not run for a fork."""
    if events(document) & {"pull_request_target", "workflow_run", "issue_comment"}:
        yield "the workflow runs others' code with this repository's rights"
    if "pull_request" not in events(document):
        return
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    for name, job in document["jobs"].items():
        trusted = (job.get("permissions") or {}).get("id-token") == "write" or "secrets." in yaml.safe_dump(job)
        condition = " ".join(str(job.get("if", "")).split())
        if trusted and (not condition.startswith(own) or "||" in condition):
            yield f"{name} runs for forks"


def unreviewed(document: Document) -> Iterator[str]:
    """A job with credentials runs in an environment: its reviewers, secrets and name are what protects a stack from a branch.

    A preview's environment is not the one that deploys, so that it has a role and a token of its own, which only read.
    """
    for name, job in document["jobs"].items():
        trusted = (job.get("permissions") or {}).get("id-token") == "write" or "secrets." in yaml.safe_dump(job)
        environment = job.get("environment")
        environment = environment.get("name") if isinstance(environment, dict) else environment
        if trusted and not environment:
            yield f"{name} has credentials outside an environment"
        commands = {step.get("with", {}).get("command") for step in job.get("steps", [])}
        if "preview" in commands and environment and not re.match(r"preview-|\$\{\{ inputs\.environment \}\}$", environment):
            yield f"{name} previews in {environment}"
        if commands & {"up", "destroy", "refresh"} and str(environment).startswith("preview-"):
            yield f"{name} changes AWS from {environment}"


def credentials_too_early(document: Document) -> Iterator[str]:
    """Packages are installed before a job holds AWS credentials."""
    for name, job in document["jobs"].items():
        order = [str(step.get("uses") or step.get("run", "")) for step in job.get("steps", [])]
        roles = [at for at, what in enumerate(order) if what.startswith("aws-actions/configure-aws-credentials@")]
        setups = [at for at, what in enumerate(order) if "make setup" in what]
        if roles and (not setups or max(setups) > min(roles)):
            yield f"{name} installs packages with AWS credentials"


def cancelling(document: Document) -> Iterator[str]:
    """A job that changes AWS is the only one of its environment, and is never cancelled."""
    for name, job in document["jobs"].items():
        if not any(step.get("with", {}).get("command") in ("up", "destroy") for step in job.get("steps", [])):
            continue
        environment = job.get("environment")
        environment = environment.get("name") if isinstance(environment, dict) else environment
        concurrency = {**document.get("concurrency", {}), **job.get("concurrency", {})}
        if environment is None:
            yield f"{name} has no environment, whose reviewers would approve it"
        if concurrency.get("cancel-in-progress") is not False:
            yield f"{name} may be cancelled"
        if not str(concurrency.get("group", "")).endswith(f"-{environment}"):
            yield f"{name} may run beside another of {environment}"


def unknown_verbs(document: Document) -> Iterator[str]:
    """What a workflow asks make for is a verb of the Makefile, and so is what it asks Pulumi for."""
    makefile = (ROOT / "Makefile").read_text()
    verbs = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    for job, step in steps(document):
        for words in re.findall(r"^\s*make ([^|;&#\n]*)", step.get("run", ""), re.MULTILINE):
            for verb in words.split():
                if "=" not in verb and verb not in verbs:
                    yield f"{job} runs make {verb}"
        command = step.get("with", {}).get("command")
        if command is not None and f"\n{command}: " not in makefile:
            yield f"{job} runs pulumi {command}"


RULES: Mapping[Callable[[Document], Iterator[str]], str] = {
    # Each with a document that breaks it.
    unlimited: "{on: push, permissions: write-all, jobs: {a: {permissions: write-all, steps: []}}}",
    unpinned: "{on: push, jobs: {a: {steps: [{uses: actions/checkout@v7}, {uses: actions/cache@main}]}}}",
    injectable: "{on: push, jobs: {a: {steps: [{run: 'echo ${{ github.event.issue.title }} ${{ github.head_ref }}'}]}}}",
    persisting: "{on: push, jobs: {a: {steps: [{uses: actions/checkout@v7}]}}}",
    open_to_forks: "{on: [pull_request], jobs: {a: {permissions: {id-token: write}, if: github.actor != 'me', steps: []}}}",
    unreviewed: "{on: pull_request, jobs: {a: {permissions: {id-token: write}, steps: []}}}",
    credentials_too_early: (
        "{on: push, jobs: {a: {steps: [{uses: aws-actions/configure-aws-credentials@v6}, {run: make setup}]}}}"
    ),
    cancelling: (
        "{on: push, concurrency: {group: deploy, cancel-in-progress: true}, "
        "jobs: {a: {environment: dev, steps: [{uses: pulumi/actions@v7, with: {command: up}}]}}}"
    ),
    unknown_verbs: "{on: push, jobs: {a: {steps: [{run: make deploy STACK=dev}, {with: {command: wreck}}]}}}",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("document", documents())
def test_a_workflow_keeps_the_rules(document: Document, rule: Callable[[Document], Iterator[str]]) -> None:
    assert list(rule(document)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_finds_what_breaks_it(rule: Callable[[Document], Iterator[str]]) -> None:
    assert list(rule(read(RULES[rule]))) != []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            injectable,
            "{on: push, jobs: {a: {steps: [{run: \"echo ${{ format('{0}', github['event'].head_commit.message) }}\"}]}}}",
        ),
        (injectable, "{on: push, jobs: {a: {steps: [{run: 'echo ${{ inputs.stack }}'}]}}}"),
        (open_to_forks, "{on: pull_request_target, jobs: {}}"),
        (open_to_forks, "{on: pull_request, jobs: {a: {steps: [{env: {TOKEN: '${{ secrets.TOKEN }}'}}]}}}"),
        (cancelling, "{on: push, jobs: {a: {steps: [{with: {command: up}}]}}}"),
        (unreviewed, "{on: pull_request, jobs: {a: {steps: [{env: {TOKEN: '${{ secrets.TOKEN }}'}}]}}}"),
        (unreviewed, "{on: pull_request, jobs: {a: {environment: prod, steps: [{with: {command: preview}}]}}}"),
        (unreviewed, "{on: push, jobs: {a: {environment: preview-prod, steps: [{with: {command: up}}]}}}"),
        (unpinned, "{on: push, jobs: {a: {steps: [{uses: actions/checkout@3d3c42e5}]}}}"),
    ],
)
def test_a_rule_finds_the_less_obvious(rule: Callable[[Document], Iterator[str]], text: str) -> None:
    assert list(rule(read(text))) != []


def test_a_pin_tells_its_version() -> None:
    """One version an action, in words beside each commit."""
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            if found := re.match(r"\s*(?:- )?uses: ([\w./-]+)@(.*)", line):
                assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", found[2]), line
                pins.setdefault(found[1], set()).add(found[2])
    assert len(pins) == 6
    assert [action for action, versions in pins.items() if len(versions) > 1] == []


# The scripts, run as the runner runs them.


def script(workflow: str, step: Callable[[Document], bool]) -> str:
    (found,) = {
        each["run"] for _, each in steps(read((ROOT / ".github/workflows" / f"{workflow}.yml").read_text())) if step(each)
    }
    return found


def run(text: str, output: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(output), **variables}
    return subprocess.run(["bash", "-e", "-c", text], capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


# What GitHub answers about an environment -> whether it has required reviewers.
REVIEWED = '{"protection_rules": [{"type": "wait_timer"}, {"type": "required_reviewers"}]}'
UNREVIEWED = '{"protection_rules": [{"type": "branch_policy"}]}'
NO_ENVIRONMENT = ""


@pytest.mark.parametrize(
    ("wanted", "environment", "stacks"),
    [
        ("", REVIEWED, "[]"),
        ("dev", NO_ENVIRONMENT, '["dev"]'),
        ("prod", REVIEWED, '["prod"]'),
        ("dev,prod", REVIEWED, '["dev","prod"]'),
        ("dev,prod", UNREVIEWED, '["dev"]'),
        ("dev,prod", NO_ENVIRONMENT, '["dev"]'),
        ("dev,prod", "{}", '["dev"]'),
        ("production", REVIEWED, "[]"),
    ],
)
def test_prod_is_previewed_only_after_a_review(tmp_path: Path, wanted: str, environment: str, stacks: str) -> None:
    """`gh` is a stand-in, which runs the script's own filter over what GitHub would answer."""
    if shutil.which("jq") is None:
        pytest.skip("no jq here, which `gh api --jq` has inside: apt-get install jq")
    gh = tmp_path / "gh"
    (tmp_path / "environment.json").write_text(environment)
    answer = f'jq "$4" {tmp_path}/environment.json' if environment else "echo HTTP 404 >&2; exit 1"
    gh.write_text(f'#!/bin/bash\n[ "$1 $2" = "api repos/o/r/environments/preview-prod" ] || exit 2\n{answer}\n')
    gh.chmod(0o755)
    output = tmp_path / "output"
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "o/r", "PREVIEW_STACKS": wanted}
    done = run(script("preview", lambda step: step.get("id") == "settings"), output, **variables)
    assert done.returncode == 0, done.stderr
    assert output.read_text() == f"stacks={stacks}\n"
    assert ("preview-prod required reviewers" in done.stdout) == ("prod" in wanted.split(",") and "prod" not in stacks)


@pytest.mark.parametrize(("workflow", "environment"), [("deploy", "prod"), ("preview", "preview-prod")])
@pytest.mark.parametrize("missing", [None, "AWS_ROLE_ARN", "AWS_REGION", "PULUMI_BACKEND_URL"])
def test_a_job_names_the_variable_that_is_missing(tmp_path: Path, workflow: str, environment: str, missing: str | None) -> None:
    variables = {name: "" if name == missing else "set" for name in ("AWS_ROLE_ARN", "AWS_REGION", "PULUMI_BACKEND_URL")}
    check = script(workflow, lambda step: step.get("name") == "Check the environment's variables")
    done = run(check, tmp_path / "output", STACK="prod", **variables)
    assert done.returncode == (0 if missing is None else 1)
    assert (done.stdout == "") if missing is None else (f"variables {missing} of the environment {environment}:" in done.stdout)


def test_a_failed_deployment_says_what_to_do(tmp_path: Path) -> None:
    output = tmp_path / "summary"
    done = run(script("deploy", lambda step: "failure()" in str(step.get("if"))), output, STACK="prod")
    assert done.returncode == 0, done.stderr
    assert "`pulumi cancel --stack prod`" in output.read_text()
    named = re.findall(r'docs/deployment\.md, "(.+?)"', output.read_text())
    assert named != []
    headings = (ROOT / "docs" / "deployment.md").read_text().splitlines()
    assert [each for each in named if f"## {each}" not in headings] == []


@pytest.mark.parametrize("workflow", ["preview", "deploy"])
def test_the_cli_is_of_the_locked_version(tmp_path: Path, workflow: str) -> None:
    output = tmp_path / "output"
    done = run(script(workflow, lambda step: step.get("id") == "locked"), output)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"pulumi=3\.\d+\.\d+\n", output.read_text())


def test_every_variable_is_documented() -> None:
    texts = "".join(path.read_text() for path in WORKFLOWS)
    documented = (ROOT / "docs" / "deployment.md").read_text()
    names = set(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", texts))
    assert len(names) > 5
    assert {name for name in names if f"`{name}`" not in documented} == set()


# Dependabot, the issue forms and pre-commit.

ISSUE_FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
MANIFESTS = {"pip": "*.in", "gomod": "go.mod", "github-actions": ".github/workflows/*.yml"}


def wrong_updates(document: Document) -> Iterator[str]:
    """Every update is weekly and grouped, each directory has what is updated, and no Go module is forgotten."""
    if document.get("version") != 2:
        yield "the version is not 2"
    modules = {f"/{path.parent.relative_to(ROOT)}" for path in (ROOT / "tools").glob("*/go.mod")}
    for update in document["updates"]:
        ecosystem = update["package-ecosystem"]
        if update.get("schedule") != {"interval": "weekly"} or not update.get("groups"):
            yield f"{ecosystem} is not grouped and weekly"
        for directory in update.get("directories") or [update["directory"]]:
            folder = ROOT / directory.lstrip("/")
            modules.discard(directory)
            if not any(folder.glob(MANIFESTS[ecosystem])) and not (ecosystem == "pip" and (folder / "pyproject.toml").exists()):
                yield f"there is nothing of {ecosystem} in {directory}"
    yield from (f"{module} is not updated" for module in sorted(modules))


def wrong_form(document: Document) -> Iterator[str]:
    """What GitHub requires of an issue form, without which it does not show it.

    https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-issue-forms
    """
    yield from (f"{key} is missing" for key in ("name", "description", "body") if not document.get(key))
    body = document.get("body", [])
    fields = [field for field in body if field["type"] != "markdown"]
    if not fields:
        yield "there is no field"
    identifiers = [field.get("id") for field in fields]
    if len(set(identifiers)) < len(identifiers):
        yield "two fields have one id"
    for field in body:
        required = {"markdown": {"value"}, "dropdown": {"label", "options"}}.get(field["type"], {"label"})
        if field["type"] not in ("markdown", "input", "textarea", "dropdown", "checkboxes"):
            yield f"{field['type']} is no type of a field"
        elif missing := required - set(field["attributes"]):
            yield f"{field['type']} lacks {sorted(missing)}"


def wrong_hooks(document: Document) -> Iterator[str]:
    """A hook runs a program of the project's environment, whose version requirements/dev.in has."""
    pinned = set(re.findall(r"^([\w-]+)[^=\n]*==", (ROOT / "requirements" / "dev.in").read_text(), re.MULTILINE))
    for repository in document["repos"]:
        for hook in repository["hooks"]:
            program, *_ = hook.get("entry", "").split()
            if repository["repo"] != "local" or Path(program).parent != Path(".venv/bin") or Path(program).name not in pinned:
                yield f"{hook['id']} does not run a pinned program of .venv"


FILES = [
    (ROOT / ".github" / "dependabot.yml", wrong_updates),
    (ROOT / ".pre-commit-config.yaml", wrong_hooks),
    *((path, wrong_form) for path in ISSUE_FORMS),
]


@pytest.mark.parametrize(("path", "rule"), FILES, ids=lambda value: getattr(value, "name", ""))
def test_a_file_for_a_tool_is_right(path: Path, rule: Callable[[Document], Iterator[str]]) -> None:
    assert list(rule(read(path.read_text()))) == []


@pytest.mark.parametrize(
    ("rule", "text", "problems"),
    [
        (
            wrong_updates,
            "{version: 1, updates: [{package-ecosystem: gomod, directories: [/tools/gone, /tools/engine, /tools/languages]}]}",
            [
                "the version is not 2",
                "gomod is not grouped and weekly",
                "there is nothing of gomod in /tools/gone",
                *(f"/tools/{module} is not updated" for module in ("actionlint", "keda", "kube", "kube-score")),
            ],
        ),
        (wrong_form, "{name: a, body: []}", ["description is missing", "body is missing", "there is no field"]),
        (
            wrong_form,
            "{name: a, description: b, body: [{type: input, id: a, attributes: {}}, {type: choice, id: a, attributes: {}}]}",
            ["two fields have one id", "input lacks ['label']", "choice is no type of a field"],
        ),
        (
            wrong_hooks,
            "{repos: [{repo: local, hooks: [{id: a, entry: ruff check}, {id: b, entry: .venv/bin/ruff format}]}]}",
            ["a does not run a pinned program of .venv"],
        ),
    ],
)
def test_what_is_wrong_with_it_is_found(rule: Callable[[Document], Iterator[str]], text: str, problems: list[str]) -> None:
    assert list(rule(read(text))) == problems


def test_issues_are_filed_with_a_form() -> None:
    assert {path.stem for path in ISSUE_FORMS} == {"bug_report", "feature_request"}
    assert read((ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml").read_text()) == {"blank_issues_enabled": False}
    assert (ROOT / "SECURITY.md").exists(), "GitHub shows its link for security reports only then"
