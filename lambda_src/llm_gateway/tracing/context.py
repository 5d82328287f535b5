"""The trace context that a caller sends: W3C's ``traceparent``, or AWS's ``X-Amzn-Trace-Id``.

https://www.w3.org/TR/trace-context/
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re
from typing import NamedTuple

# A later version may have more fields at its end; ff is forbidden, and so are ids of zeros.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-[!-~]*)?"
)
_MEMBER = re.compile(
    r"[ \t]*([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[ -+\--<>-~]{0,256}[ \t]*"
)
_MOST_MEMBERS = 32
_MOST_STATE = 512
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_SEGMENT = re.compile(r"[0-9a-f]{16}")


class Context(NamedTuple):
    """A caller's trace. `parent_id` is empty where no span of the caller's is known; `sampled` None: nothing is decided."""

    trace_id: str
    parent_id: str = ""
    sampled: bool | None = None
    state: str = ""


def of_traceparent(traceparent: str, tracestate: str = "") -> Context | None:
    """Return the context of W3C's headers; None where `traceparent` is not right, as if there were none.

    A ``tracestate`` that is not right, or longer than 512 characters, is left out.
    """
    match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if match is None or (match["version"] == "00" and match["more"] is not None):
        return None
    return Context(match["trace"], match["parent"], bool(int(match["flags"], 16) & 1), _state(tracestate))


def of_xray(header: str) -> Context | None:
    """Return the context of X-Ray's header, such as ``Root=1-…;Parent=…;Sampled=1``; None where it names no trace."""
    fields: dict[str, str] = {}
    for field in header[:1024].split(";"):
        name, _, value = field.strip().partition("=")
        fields[name] = value
    root = _ROOT.fullmatch(fields.get("Root", ""))
    if root is None:
        return None
    parent = fields.get("Parent", "")
    sampled = {"1": True, "0": False}.get(fields.get("Sampled", ""))
    return Context(root[1] + root[2], parent if _SEGMENT.fullmatch(parent) else "", sampled)


def _state(text: str) -> str:
    members = [member for member in text.split(",") if member.strip(" \t")]
    if len(text) > _MOST_STATE or len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    names = [member.partition("=")[0].strip() for member in members]
    return ",".join(member.strip(" \t") for member in members) if len(set(names)) == len(names) else ""
