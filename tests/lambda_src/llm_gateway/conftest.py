"""What tests of the core share: a clock that leaps, and a gateway in front of failing providers."""

import contextlib
import ssl
import time

import pytest

from support.clock import Clock, Now
from support.tls import Authority
from wire.harness import Harness


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def harness(clock: Clock, opened: contextlib.AsyncExitStack, authority: Authority) -> Harness:
    return Harness(opened, authority.server, ssl.create_default_context())


@pytest.fixture
def moment() -> Now:
    """2027-01-15T08:00:10Z."""
    return Now(time.mktime((2027, 1, 15, 8, 0, 0, 0, 0, 0)) - time.timezone + 10)
