"""The documentation is true to the code: generated pages, links, verbs, options."""

import ast
import re
import runpy
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from llm_functions.http.event_stream import KEEP_ALIVE_SECONDS
from llm_gateway import router
from llm_gateway.errors import ERROR_KINDS
from llm_gateway.operations import MAX_BODY_BYTES
from llm_gateway.routes import DEFAULT_MAX_TOKENS
from pulumi_llm import stack_settings
from pulumi_llm.cli.command import app
from support.programs import ROOT

PAGES_WITH_VERBS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", ".github/pull_request_template.md")]
PAGES = [
    *PAGES_WITH_VERBS,
    *(ROOT / name for name in ("CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def test_everything_generated_is_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "docs/generate.py"))["PAGES"]
    assert {"api.md", "components.md", "models.md", "policies.md", "providers.md", "settings.md"} <= pages.keys()
    outdated = [name for name, page in pages.items() if (ROOT / "docs" / name).read_text() != page()]
    assert outdated == [], "run: make docs"


@each_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Some `code`, twice\n\n# Some code twice\n\n[here](#some-code-twice-1)\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#some-code-twice) [c](https://example.com/gone) `[d](gone.md)` [e](sub)\n\n"
        "[f](gone.md) [g](other.md#gone) ![h](gone.svg) [i](#gone)\n"
    )
    (tmp_path / "sub").mkdir()
    assert list(broken_links(tmp_path / "other.md")) == []
    assert list(broken_links(page)) == ["gone.md", "other.md#gone", "gone.svg", "#gone"]


@pytest.mark.parametrize("page", PAGES_WITH_VERBS, ids=lambda page: page.name)
def test_every_verb_of_make_is_there(page: Path) -> None:
    verbs = {verb for text in code(page) for verb in make_verbs(text)}
    assert verbs
    assert sorted(verbs - targets()) == []


def test_the_local_run_is_documented_as_it_is() -> None:
    page = ROOT / "docs/local.md"
    lines = [line for text in code(page) for line in text.splitlines() if not line.lstrip().startswith(("aws ", "AWS_"))]
    documented = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", "\n".join(lines)))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    described = (commands["local"], commands["preview"])
    assert documented == {
        option for command in described for parameter in command.params for option in parameter.opts if option[0] == "-"
    }


def test_every_environment_variable_of_the_local_run_is_there() -> None:
    named = {name for text in code(ROOT / "docs/local.md") for name in re.findall(r"\b[A-Z]+(?:_[A-Z0-9]+)+\b", text)}
    assert "PULUMI_LLM_CACHE" in named, "or the test looks in the wrong places"
    sources = [path for folder in ("components", "local") for path in (ROOT / folder).rglob("*.py")]
    assert sorted(named - {text for source in sources for text in strings(source)}) == []


def test_every_example_of_a_configuration_is_right() -> None:
    pages = [ROOT / "docs" / "providers.md", ROOT / "docs" / "gpu-cluster.md"]
    examples = [yaml.safe_load(text) for page in pages for text in fences(page, "yaml")]
    assert len(examples) >= 6
    needed = {"account_baseline": {"api_gateway_logs": True}}
    for example in examples:
        raw = {key.removeprefix("pulumi-llm:"): value for key, value in example.items()}
        raw = {"environment": "qa", "aws:region": "us-east-1", "development": True, **needed, **raw}
        assert stack_settings.parse(raw).warnings() == []


def test_what_is_said_of_failures_is_what_the_router_does() -> None:
    text = (ROOT / "docs" / "providers.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (yes|no)[^|]* \| (yes|no) \| (yes|no) \|$", text, re.MULTILINE)
    policies = {k.code: (k.policy.next_target, k.policy.retry, k.policy.cooldown) for k in ERROR_KINDS if k.policy.next_target}
    assert {code: tuple(cell == "yes" for cell in cells) for code, *cells in rows} == policies
    for seconds, said in ((router.LONGEST_PAUSE, "at most 8 seconds"), (router.COOLDOWN, "for 5 seconds")):
        assert f"{seconds:g} seconds" in said
        assert said in text
    assert (router.LONGEST_COOLDOWN, router.LATENCY_LIFE) == (60, 300), "a minute, five minutes"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("docs/api.md", f"a comment comes every {KEEP_ALIVE_SECONDS:g} s"),
        ("docs/api.md", f"`default_max_tokens` of the model's settings ({DEFAULT_MAX_TOKENS:,})"),
        ("docs/api.md", f"at most {MAX_BODY_BYTES // 1024**2} MiB"),
    ],
)
def test_a_number_in_a_page_is_the_codes(page: str, said: str) -> None:
    assert said in " ".join((ROOT / page).read_text().split())


# Markdown.


def fences(page: Path, language: str) -> list[str]:
    return [token.content for token in tokens(page) if token.type == "fence" and token.info == language]


def tokens(page: Path) -> Iterator[Token]:
    """A page's tokens, those within lines too."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        yield token
        yield from token.children or ()


def code(page: Path) -> list[str]:
    """What stands between backticks, and each block of code."""
    return [token.content for token in tokens(page) if token.type in ("code_inline", "fence", "code_block")]


def broken_links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        link = str(token.attrGet("href") or token.attrGet("src") or "")
        if not link or re.match("[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
            yield link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found: set[str] = set()
    before = ""
    for token in tokens(page):
        if before == "heading_open":
            text = "".join(child.content for child in token.children or ())
            base = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(next(name for name in numbered(base) if name not in found))
        before = token.type
    return found


def numbered(base: str) -> Iterator[str]:
    yield base
    number = 1
    while True:
        yield f"{base}-{number}"
        number += 1


# The Makefile and the sources.


def make_verbs(text: str) -> Iterator[str]:
    """The verbs of each `make …` in a piece of code, up to its variables, comment or end."""
    for words in re.findall(r"(?:^|[;&|] *)make((?: +[a-z][a-z0-9-]*)*)", text, re.MULTILINE):
        yield from words.split()


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("make lint test", ["lint", "test"]),
        ("make up STACK=dev OWNER=you", ["up"]),
        ("cd x && make demo\nmake  bench # make it fast", ["demo", "bench"]),
        ("cmake build", []),
    ],
)
def test_the_verbs_of_a_command(text: str, verbs: Iterable[str]) -> None:
    assert list(make_verbs(text)) == verbs


def targets() -> set[str]:
    """What make itself says that it can make by a name of its own."""
    database = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", database, re.MULTILINE)
    return set(phony.split())


def strings(source: Path) -> Iterator[str]:
    """Every text in a module."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_assumptions_about_aws_are_named_and_cited() -> None:
    """Each row of docs/verification.md is what some test rests on, and each such test names a row that is there."""
    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "verification.md").read_text(), re.MULTILINE))
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    cited = set(re.findall(r'mark\.assumes\("([a-z0-9-]+)"\)', tests))
    assert named == cited
