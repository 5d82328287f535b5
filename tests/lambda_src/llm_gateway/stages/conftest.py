import time

import pytest

from support.clock import Now


@pytest.fixture
def moment() -> Now:
    """2027-01-15T08:00:10Z."""
    return Now(time.mktime((2027, 1, 15, 8, 0, 0, 0, 0, 0)) - time.timezone + 10)
