"""How the messages about values name things."""

import difflib
from collections.abc import Iterable
from typing import Any


def listed(items: Iterable[Any], conjunction: str = "and") -> str:
    """List items as in a sentence: `'a', 'b' and 'c'`."""
    *rest, last = [repr(item) for item in items] or ["nothing"]
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last


def nearest(name: str, names: Iterable[str]) -> str:
    """Ask whether the nearest of the known names was meant; empty where none is near."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def shortened(text: str) -> str:
    """Cut a quoted value to at most 60 characters, its quotes included."""
    return text if len(text) <= 60 else f"{text[:57]}…{text[0]}"
