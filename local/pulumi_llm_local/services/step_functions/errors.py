"""The errors of state machines: in their definitions, and of their states.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from collections.abc import Sequence
from typing import Final

ALL, TASK_FAILED, TIMEOUT = "States.ALL", "States.TaskFailed", "States.Timeout"
RUNTIME, DATA_LIMIT = "States.Runtime", "States.DataLimitExceeded"
RESULT_PATH = "States.ResultPathMatchFailure"
NO_CHOICE = "States.NoChoiceMatched"
PERMISSIONS = "States.Permissions"
ITEM_READER = "States.ItemReaderFailed"
THRESHOLD = "States.ExceedToleratedFailureThreshold"
# "A retry or catch on States.ALL won't catch States.Runtime errors", and States.DataLimitExceeded is a "terminal error".
_TERMINAL: Final = (RUNTIME, DATA_LIMIT)


class DefinitionError(Exception):
    """AWS refuses the definition, or a part of it is not played here."""


class StateError(Exception):
    """A state has failed, by the name of its error and with its cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


def matches(error: str, names: Sequence[str]) -> bool:
    """Tell whether a retrier or a catcher that names these errors takes one.

    "States.TaskFailed acts like a wildcard that matches any known error name except for States.Timeout."
    """
    if error in names:
        return True
    if error in _TERMINAL:
        return False
    return ALL in names or (TASK_FAILED in names and error != TIMEOUT)
