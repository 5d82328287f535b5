"""The trace context of callers. The cases are those of https://github.com/w3c/trace-context/tree/main/test."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.tracing.context import Context, of_traceparent, of_xray

TRACE, PARENT = "12345678901234567890123456789012", "1234567890123456"
RIGHT = f"00-{TRACE}-{PARENT}-01"

TRACEPARENTS: dict[str, tuple[str, Context | None]] = {
    "sampled": (RIGHT, Context(TRACE, PARENT, sampled=True)),
    "not sampled": (f"00-{TRACE}-{PARENT}-00", Context(TRACE, PARENT, sampled=False)),
    "other flags": (f"00-{TRACE}-{PARENT}-fe", Context(TRACE, PARENT, sampled=False)),
    "spaces around it": (f" {RIGHT}\t", Context(TRACE, PARENT, sampled=True)),
    "a later version": (f"cc-{TRACE}-{PARENT}-01", Context(TRACE, PARENT, sampled=True)),
    "a later version with more": (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", Context(TRACE, PARENT, sampled=True)),
    "a later version with other characters": (f"cc-{TRACE}-{PARENT}-01.what", None),
    "none": ("", None),
    "version 0 with more": (f"{RIGHT}-what", None),
    "version 0 with a dash": (f"{RIGHT}-", None),
    "version 255": (f"ff-{TRACE}-{PARENT}-01", None),
    "a version of one digit": (f"0-{TRACE}-{PARENT}-01", None),
    "an id of zeros": (f"00-{'0' * 32}-{PARENT}-01", None),
    "a parent of zeros": (f"00-{TRACE}-{'0' * 16}-01", None),
    "capitals": (f"00-{'A' * 32}-{PARENT}-01", None),
    "too short": (f"00-{TRACE[1:]}-{PARENT}-01", None),
    "too long": (f"00-{TRACE}0-{PARENT}-01", None),
    "flags of one digit": (f"00-{TRACE}-{PARENT}-1", None),
    "two at once": (f"{RIGHT}, {RIGHT}", None),
    "a line end": (f"{RIGHT}\n", None),
    "other digits": (f"00-{'١' * 32}-{PARENT}-01", None),
}


@pytest.mark.parametrize(("header", "context"), TRACEPARENTS.values(), ids=TRACEPARENTS)
def test_traceparent(header: str, context: Context | None) -> None:
    assert of_traceparent(header) == context


STATES: dict[str, tuple[str, str]] = {
    "one": ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
    "two, with spaces and an empty one": ("foo=1 ,, bar=2", "foo=1,bar=2"),
    "of a tenant": ("fw529a3039@dt=FfD,0a@s=1", "fw529a3039@dt=FfD,0a@s=1"),
    "none": ("", ""),
    "no value": ("foo", ""),
    "an equal sign in a value": ("foo=1=2", ""),
    "the same name twice": ("foo=1,foo=2", ""),
    "capitals": ("Foo=1", ""),
    "33 members": (",".join(f"a{n}=1" for n in range(33)), ""),
    "too long": (f"foo={'1' * 520}", ""),
    "a line end": ("foo=1\r\nx-injected: 1", ""),
}


@pytest.mark.parametrize(("header", "state"), STATES.values(), ids=STATES)
def test_tracestate(header: str, state: str) -> None:
    assert of_traceparent(RIGHT, header) == Context(TRACE, PARENT, sampled=True, state=state)


ROOT = "1-5759e988-bd862e3fe1be46a994272793"
XRAY_TRACE = "5759e988bd862e3fe1be46a994272793"
XRAY: dict[str, tuple[str, Context | None]] = {
    "of Lambda": (f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1", Context(XRAY_TRACE, "53995c3f42cd8ad8", sampled=True)),
    "not sampled, with a lineage": (
        f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:1|68fd508a:5",
        Context(XRAY_TRACE, "53995c3f42cd8ad8", sampled=False),
    ),
    "of a load balancer": (f"Self=1-67891234-12456789abcdef012345678;Root={ROOT}", Context(XRAY_TRACE)),
    "not decided": (f"Root={ROOT}; Parent=53995c3f42cd8ad8; Sampled=?", Context(XRAY_TRACE, "53995c3f42cd8ad8")),
    "a wrong parent": (f"Root={ROOT};Parent=x;Sampled=1", Context(XRAY_TRACE, sampled=True)),
    "none": ("", None),
    "a wrong root": ("Root=2-5759e988-bd862e3fe1be46a994272793;Sampled=1", None),
    "no root": ("Parent=53995c3f42cd8ad8;Sampled=1", None),
}


@pytest.mark.parametrize(("header", "context"), XRAY.values(), ids=XRAY)
def test_the_header_of_xray(header: str, context: Context | None) -> None:
    assert of_xray(header) == context


@given(st.text(), st.text())
def test_any_text_is_read(header: str, state: str) -> None:
    found = of_traceparent(header, state), of_xray(header), of_traceparent(RIGHT, state)
    assert all(context is None or (len(context.trace_id) == 32 and context.state.isprintable()) for context in found)
