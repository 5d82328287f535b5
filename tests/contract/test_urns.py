"""The URNs of dev and prod, which stay: tests/golden/urns.*.txt is what they were last."""

import pytest

from golden import write


@pytest.mark.parametrize("stack", write.STACKS)
def test_the_urns_are_the_golden_ones(stack: str) -> None:
    assert write.urns_file(stack).read_text() == write.urns(stack), (
        "a resource came, went or has another URN; where it was renamed, give it an alias, for it would be made anew. "
        "If the change is meant, run `make golden` and review the difference"
    )
