"""Takes secrets out of a text from outside, such as a provider's error, which may repeat the key that it was sent."""

import re
from collections.abc import Iterable

# Characters in a row of a secret that are taken for a part of it: a provider, or our own limit, may have cut the rest off.
# A shorter secret counts as a whole, and one of less than the second number is a placeholder for a server that checks none.
_PART = 12
_SHORTEST = 8
_REMOVED = "***"

# How a character may be written in JSON, in JSON within JSON, in a URL and in HTML. Backslashes before others go.
_ESCAPED = re.compile(
    r"\\+u(?P<json>[0-9A-Fa-f]{4})|%(?P<url>[0-9A-Fa-f]{2})|&#x(?P<hexadecimal>[0-9A-Fa-f]{1,5});|&#(?P<decimal>\d{1,6});"
    r"|&(?P<name>amp|lt|gt|quot|apos);|\\+(?=.)",
    re.DOTALL,
)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with ``***`` in the place of every secret, and of every larger part of one, however it is escaped."""
    parts: set[str] = set()
    for secret in secrets:
        plain, _ = _unescaped(secret)
        for form in {secret, plain}:
            if len(form) >= _SHORTEST:
                parts |= {form[at : at + _PART] for at in range(max(1, len(form) - _PART + 1))}
    if not parts:
        return text
    raw = range(len(text) + 1)
    found = [*_places(text, raw, parts), *_places(*_unescaped(text), parts)]
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(found):
        if start > end or not pieces:
            pieces += [text[end:start], _REMOVED]
        end = max(end, stop)
    return "".join((*pieces, text[end:]))


def _places(plain: str, starts: "list[int] | range", parts: set[str]) -> Iterable[tuple[int, int]]:
    """Yield where in the original text one of `parts` stands; `starts` are the places of the characters of `plain` in it."""
    for length in {len(part) for part in parts}:
        for at in range(len(plain) - length + 1):
            if plain[at : at + length] in parts:
                yield starts[at], starts[at + length]


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Return a text with its escaped characters as they are, and the place of each in the original, its end last."""
    plain: list[str] = []
    starts: list[int] = []
    end = 0
    for match in _ESCAPED.finditer(text):
        plain += text[end : match.start()]
        starts += range(end, match.start())
        number = match["json"] or match["url"] or match["hexadecimal"]
        if match.lastgroup is not None:
            plain.append(
                _NAMED[match["name"]] if match["name"] else chr(int(number, 16) if number else int(match["decimal"]))
            )
            starts.append(match.start())
        end = match.end()
    plain += text[end:]
    starts += range(end, len(text) + 1)
    return "".join(plain), starts
