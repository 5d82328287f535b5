"""What goes wrong on purpose in the upstreams of a local run, in which of them, and how often."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast, get_args

# Each upstream says these in its provider's own words. The first seven refuse the request or break the answer off with a
# reason; slow to stream-error happen within an answer; malformed and html are answers that no client can read.
FaultKind = Literal[
    "throttle",
    "not-ready",
    "500",
    "503",
    "bad-key",
    "context",
    "refuse",
    "slow",
    "stall",
    "cut-stream",
    "stream-error",
    "malformed",
    "html",
]


@dataclass(frozen=True)
class Fault:
    """`rate` of the requests (0 to 1) fail as `kind` says, spread evenly: 0.3 hits 3 of every 10 valid requests.

    `upstream` is the name of the one that fails; empty: each of them. Of several faults that are due at once one is done now
    and the others with the next requests.
    """

    kind: FaultKind
    rate: float = 1.0
    upstream: str = ""


def parse_fault(text: str) -> Fault:
    """Read [UPSTREAM=]KIND[:RATE]. Raises `ValueError`; which upstreams there are is the caller's to check."""
    upstream, equals, rest = text.rpartition("=")
    kind, colon, rate_text = rest.partition(":")
    kinds = get_args(FaultKind)
    if equals and _NAME.fullmatch(upstream) is None:
        raise ValueError(f"{text!r}: before '=' stands the name of an upstream, as in bedrock=throttle, not {upstream!r}")
    if kind not in kinds:
        raise ValueError(f"{text!r}: there is no fault {kind!r}; choose one of {', '.join(kinds)}")
    try:
        rate = float(rate_text) if colon else 1.0
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r}: a fault's rate is a number from 0 to 1, as in {kind}:0.3")
    return Fault(cast(FaultKind, kind), rate, upstream)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class FaultSchedule:
    """Which request to the upstream `upstream` fails how.

    Each fault's rate is saved up, request by request, until a whole failure is due.
    """

    def __init__(self, faults: Sequence[Fault], upstream: str) -> None:
        self._faults = [fault for fault in faults if fault.upstream in ("", upstream)]
        self._due = [Fraction(0) for _ in self._faults]

    def next(self) -> FaultKind | None:
        if not self._faults:
            return None
        for index, fault in enumerate(self._faults):
            self._due[index] += Fraction(str(fault.rate))
        most = max(range(len(self._due)), key=self._due.__getitem__)
        if self._due[most] < 1:
            return None
        self._due[most] -= 1
        return self._faults[most].kind
