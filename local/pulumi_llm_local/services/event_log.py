"""The log file of a service that delivers events: what could not be delivered, and why."""

from datetime import UTC, datetime
from pathlib import Path

from pulumi_llm_local.services.process import private_file


class EventLog:
    """The log in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, line: str) -> None:
        """Add a line, with the time before it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with private_file(self._path) as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}\n".encode())
