"""The web client's own tests, its build, and its packages."""

import gzip
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pulumi_llm.base import web_client
from support import node
from support.programs import ROOT

FRONTEND = ROOT / "frontend"
PACKAGES = [FRONTEND, ROOT / "tests" / "system" / "browser"]
# Bytes of everything that a browser loads, compressed.
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def packages() -> None:
    node.install(FRONTEND)


@pytest.fixture(scope="module")
def built(packages: None) -> dict[str, Path]:
    node.run(ROOT, "make", "-s", "frontend")
    return web_client.files()


@pytest.mark.usefixtures("packages")
def test_its_unit_tests_pass() -> None:
    node.run(FRONTEND, "npm", "test")


@pytest.mark.usefixtures("packages")
def test_its_types_are_those_of_the_api() -> None:
    described = node.run(FRONTEND, sys.executable, "describe_api.py")
    types = node.run(FRONTEND, "npm", "run", "--silent", "types", standard_input=described)
    assert (FRONTEND / "src" / "api" / "schema.d.ts").read_text() == types, "run: make frontend-types"


def test_a_page_is_small(built: dict[str, Path]) -> None:
    size = sum(len(gzip.compress(path.read_bytes())) for path in built.values())
    assert size < MOST_BYTES


def test_the_policy_of_the_page_holds_it(built: dict[str, Path]) -> None:
    """No inline script or style, and hashed names for what is kept for good."""
    page = Elements()
    page.feed(built["index.html"].read_text())
    assert page.inline == []
    assert {Path(name).parts[0] for name in built} == {"index.html", "favicon.svg", "assets"}
    hashed = [name for name in built if name.startswith("assets/")]
    assert {Path(name).suffix for name in hashed} == {".js", ".css"}
    assert all(re.fullmatch(r"assets/index-[\w-]{8}\.(js|css)", name) for name in hashed)
    assert all("immutable" in web_client.cache_control(name) for name in hashed)
    assert web_client.cache_control("index.html") == "no-cache"
    for directive in web_client.CONTENT_SECURITY_POLICY.split("; "):
        assert "unsafe" not in directive
        assert "*" not in directive


class Elements(HTMLParser):
    """Lists the elements that a strict policy refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names) or any(n == "style" or n.startswith("on") for n in names):
            self.inline.append(tag)


def test_the_configuration_names_what_there_is() -> None:
    assert json.loads(web_client.config("/api")) == {"rest_url": "/api"}
    given = web_client.config("/api", stream_url="/s", websocket_url="/ws", stream_body_hash=True)
    assert json.loads(given) == {"rest_url": "/api", "stream_url": "/s", "websocket_url": "/ws", "stream_body_hash": True}


def test_without_a_build_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web_client, "_IN_CHECKOUT", tmp_path)
    with pytest.raises(web_client.WebClientError, match=r"^the web client is not built: run 'make frontend'.*Node.js"):
        web_client.files()


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_packages_are_locked_by_hash_without_addresses(folder: Path) -> None:
    described = json.loads((folder / "package.json").read_text())
    wanted = {**described.get("dependencies", {}), **described["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert all("resolved" not in package for package in locked.values())
    assert [name for name, package in locked.items() if name and not package.get("integrity")] == []
