"""What every test shares: the environment that programs see, and one evaluation each of dev and prod."""

import os

# Before anything of Pulumi is imported, for it reads them then. The bundle for the machine at hand needs no Python 3.13, and
# text that is made of an Output is a mistake rather than a warning.
os.environ["PULUMI_LLM_BUNDLE"] = "host"
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"
# What a developer's shell may hold and a program would read.
for _name in ("OWNER", "AWS_REGION", "AWS_DEFAULT_REGION", "PULUMI_CONFIG"):
    os.environ.pop(_name, None)

import pytest  # noqa: E402

from support import programs  # noqa: E402


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
