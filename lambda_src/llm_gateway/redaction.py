"""Takes secrets out of a text from outside, such as a provider's error, which may repeat the key that it was sent."""

import re
from collections.abc import Iterable, Iterator, Sequence

# Characters in a row of a secret that are taken for a part of it: a provider, or our own limit, may have cut the rest off.
# A shorter secret counts as a whole, and one of less than the second number is a placeholder for a server that checks none.
_PART = 12
_SHORTEST = 8
_REMOVED = "***"
# The most characters that a part takes in a text: each may be written as `&#x0041;`, or after several backslashes.
_REACH = _PART * 10

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
    beginnings: set[str] = set()
    for secret in secrets:
        for form in {secret, "".join(character for character, _, _ in _characters(secret))}:
            if len(form) >= _SHORTEST:
                beginnings.add(form[0])
                parts |= {form[at : at + _PART] for at in range(max(1, len(form) - _PART + 1))}
    if not parts:
        return text
    as_it_is = [(character, at, at + 1) for at, character in enumerate(text)]
    pieces: list[str] = []
    end = -1
    found = [*_places(as_it_is, parts), *_places(_characters(text), parts)]
    # What looks like an escape may be the end of other text and the beginning of a secret, such as `%` before `00ab…`.
    for match in _ESCAPED.finditer(text):
        inside = match.start() + (match[0].count("\\") or 1)
        if beginnings.intersection(text[inside : match.end()]):
            near = _characters(text[inside : inside + _REACH])
            found += ((start + inside, stop + inside) for start, stop in _places(near, parts))
    for start, stop in sorted(found):
        if start > end:
            pieces += [text[max(end, 0) : start], _REMOVED]
        end = max(end, stop)
    return "".join((*pieces, text[max(end, 0) :]))


_Character = tuple[str, int, int]
"""A character, and where it begins and ends in the original text."""


def _places(characters: Sequence[_Character], parts: set[str]) -> Iterator[tuple[int, int]]:
    """Yield where in the original text one of `parts` begins and ends."""
    plain = "".join(character for character, _, _ in characters)
    for length in {len(part) for part in parts}:
        for at in range(len(plain) - length + 1):
            if plain[at : at + length] in parts:
                yield characters[at][1], characters[at + length - 1][2]


def _characters(text: str) -> list[_Character]:
    """Return the characters of a text without escapes."""
    found: list[_Character] = []
    end = 0
    for match in _ESCAPED.finditer(text):
        found += ((text[at], at, at + 1) for at in range(end, match.start()))
        end = match.end()
        if match["name"]:
            found.append((_NAMED[match["name"]], match.start(), end))
        elif match.lastgroup:
            number = match["json"] or match["url"] or match["hexadecimal"]
            found.append((chr(int(number, 16) if number else int(match["decimal"])), match.start(), end))
    found += ((text[at], at, at + 1) for at in range(end, len(text)))
    return found
