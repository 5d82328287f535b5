"""What every test shares: the environment that programs see, and one evaluation each of dev and prod."""

import multiprocessing
import os
import signal
from pathlib import Path

# Before anything of Pulumi is imported, for it reads them then. The bundle for the machine at hand needs no Python 3.13, and
# text that is made of an Output is a mistake rather than a warning.
os.environ["PULUMI_LLM_BUNDLE"] = "host"
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"
# What a developer's shell may hold and a program would read.
for _name in ("OWNER", "AWS_REGION", "AWS_DEFAULT_REGION", "PULUMI_CONFIG"):
    os.environ.pop(_name, None)
# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

from pulumi_llm_local.engine import language  # noqa: E402
from support import programs  # noqa: E402

# The programs that the engine runs are forked from one process a worker. Here it imports everything that our components import,
# once: three seconds of CPU for each of some three hundred programs. A user's preview imports only what its program needs.
_components = (programs.ROOT / "components" / "pulumi_llm").glob("*/component.py")
multiprocessing.get_context("forkserver").set_forkserver_preload(
    [
        language.program.__name__,
        "pulumi_llm.stack_settings",
        *(f"pulumi_llm.{file.parent.name}.component" for file in _components),
    ]
)

# What takes minutes. It begins first, so that at the end no worker is left alone with it.
SLOWEST = (
    "system/engine",
    "system/clients",
    "system/wheel",
    "system/kube",
    "system/local",
    "policy/test_engine.py",
    "policy/test_foreign_engine.py",
    "system",
    "frontend",
    "contract",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which the workers get the files; the tests of a file stay in theirs."""

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((at for at, slow in enumerate(SLOWEST) if path.startswith(slow)), len(SLOWEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def dev() -> programs.Recording:
    """The dev stack, evaluated in this process: its archives are still objects."""
    return programs.run_project(programs.ROOT, "dev")


@pytest.fixture(scope="session")
def prod() -> programs.Recording:
    return programs.run_project(programs.ROOT, "prod")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With STRICT=1, what could not be run here is a failure; the summary above names each and why."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if os.environ.get("STRICT") == "1" and skipped:
        terminalreporter.write_line(f"STRICT=1: {skipped} skipped", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("STRICT") == "1" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
