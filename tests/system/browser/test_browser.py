"""The web client in Chromium, over the whole stack on loopback. The tests are in JavaScript, beside this file."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from support import node
from support.programs import ROOT
from system.local.documents import stack_with_documents

FOLDER = Path(__file__).parent
# It needs a stack with documents, which are put there by an SDK of AWS's.
SOURCES = FOLDER / "sources.test.mjs"
FILES = sorted({*FOLDER.glob("*.test.mjs")} - {SOURCES})
DOCUMENTS = {
    "leave.md": ("Leave: 30 days a year.", {"tenant": "default", "title": "<img src=x onerror=alert(1)>Leave"}),
    "office.md": ("Office: nine to five. <script>alert(1)</script>", {"tenant": "*"}),
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, or install Chrome")
    node.install(FOLDER)
    node.install(ROOT / "frontend")
    node.run(ROOT, "make", "-s", "frontend")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.mjs"))
def test_the_page(file: Path, chromium: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", chromium)
    monkeypatch.setenv("PULUMI_LLM", str(Path(sys.executable).with_name("pulumi-llm")))
    node.run(ROOT, "node", "--test", str(file), seconds=580)


def test_sources(chromium: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", chromium)
    with stack_with_documents(DOCUMENTS) as stack:
        monkeypatch.setenv("STACK", json.dumps({"page": stack.outputs["page"], "key": stack.key}))
        node.run(ROOT, "node", "--test", str(SOURCES), seconds=580)
