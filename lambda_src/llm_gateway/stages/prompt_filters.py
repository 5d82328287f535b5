"""The filters of prompts: length, control characters, injection patterns, personal data.

A filter looks at one text after another. Every expression here takes time in proportion to the text: its repetitions are
bounded, and what a bounded repetition may match differs from what stands after it. Own patterns are checked for that when the
stack is previewed (`pulumi_llm.api_edge.safety`).
"""

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from io import StringIO
from itertools import repeat
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from llm_gateway.safety import Filter


class Pii(NamedTuple):
    """A kind of personal data: how it is found, and whether what is found is one. `example` is for the documentation.

    A text without `needs` has none of it. Most prompts have no digits, and to look for those alone takes a tenth of the time.
    """

    expression: re.Pattern[str]
    example: str
    holds: Callable[[str], bool] = lambda text: True
    needs: re.Pattern[str] = re.compile(r"\d")


# Twice a digit, and the digits of that added up.
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_FROM_10 = str.maketrans({letter: str(int(letter, 36)) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
_HAS_DIGIT = re.compile(r"\d")


def _luhn(text: str) -> bool:
    digits = [*map(int, text.replace(" ", "").replace("-", ""))]
    if not 13 <= len(digits) <= 19 or digits.count(digits[0]) == len(digits):
        return False
    return (sum(digits[-1::-2]) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


def _iban(text: str) -> bool:
    """https://www.iso.org/standard/81090.html: the number modulo 97 is 1, with letters from 10."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int((plain[4:] + plain[:4]).translate(_FROM_10)) % 97 == 1


def _ip_address(text: str) -> bool:
    if not _HAS_DIGIT.search(text):  # such as a::b, which is an address, and code
        return False
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)  # a sixth of the time of `ipaddress`
    except OSError:
        return False
    return True


def _phone(text: str) -> bool:
    return 8 <= sum(map(str.isdigit, text)) <= 15


# What continues a word or a number: of letters, Latin ones alone. Chinese, Japanese and Thai have no spaces between words.
_L = "A-Za-z\u00c0-\u024f"
_W = rf"{_L}_\d"

# Kinds of personal data by their names. What is found is replaced by the name in braces, such as {EMAIL}, as Bedrock does.
PII: Mapping[str, Pii] = {
    "email": Pii(
        re.compile(rf"(?<![{_W}.+-])[{_L}0-9][{_W}.+-]{{0,63}}@(?:[{_L}0-9-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}(?![{_W}-])"),
        "ada@example.com",
        needs=re.compile("@"),
    ),
    "credit_card": Pii(re.compile(rf"(?<![{_W}.+-])\d(?:[ -]?\d){{12,18}}(?![{_W}-])"), "4111 1111 1111 1111", _luhn),
    "iban": Pii(
        re.compile(rf"(?<![{_W}-])[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]){{11,30}}(?![{_W}-])"), "DE89 3704 0044 0532 0130 00", _iban
    ),
    # https://www.ssa.gov/employer/randomization.html: what no number begins with.
    "us_ssn": Pii(re.compile(rf"(?<![{_W}-])(?!000|666|9\d\d)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}(?![{_W}-])"), "123-45-6789"),
    "ip_address": Pii(
        re.compile(
            rf"(?<![{_W}.:-])(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|[0-9A-Fa-f]{{0,4}}(?::[0-9A-Fa-f]{{0,4}}){{2,7}})(?![{_W}:]|\.\d)"
        ),
        "203.0.113.7",
        _ip_address,
    ),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    "aws_access_key": Pii(
        re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        "AKIAIOSFODNN7EXAMPLE",
        needs=re.compile("A(?:K|S)IA"),
    ),
    # It has no form of its own, so it is looked for where its name stands before it. Another kind between them (`_blotted`)
    # counts as one character.
    "aws_secret_key": Pii(
        re.compile(r"(?i:secret(?:}++|[^}\n]){0,20}[\s:=\"']{1,4})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        needs=re.compile("(?i:secret)"),
    ),
    # After those above, for many of them hold as many digits.
    "phone": Pii(
        re.compile(
            rf"(?<![{_W}+])\+\d{{1,3}}(?:[ .-]?\(\d{{1,4}}\))?(?:[ -]\d)?(?:[ .-]\d{{2,8}}){{1,5}}(?![{_W}])|"
            rf"(?<![{_W}+])\+\d{{8,15}}(?![{_W}])|"
            rf"(?<![{_W}.+-])(?:1[ .-])?(?:\(\d{{3}}\) ?|\d{{3}}[ .-])\d{{3}}[ .-]\d{{4}}(?![{_W}-])"
        ),
        "+49 30 123456",
        _phone,
    ),
}

# What is looked for as an injection, by its name, in texts as `_plain` makes them.
INJECTIONS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "ignore_instructions": (
            r"\b(?:ignore|disregard|forget|override|bypass)(?: \w{1,20}){0,3} "
            r"(?:previous|prior|above|earlier|preceding|system|your|developer)(?: \w{1,20}){0,2} "
            r"(?:instructions?|prompts?|rules|guidelines|directions|messages?)\b"
        ),
        "reveal_prompt": (
            r"\b(?:reveal|show|print|repeat|output|display|leak)(?: \w{1,20}){0,4} (?:system|hidden|initial|developer) "
            r"(?:prompts?|instructions?|messages?)\b"
        ),
        "jailbreak_persona": (
            r"\b(?:do anything now|you are now (?:dan|unrestricted|jailbroken)|"
            r"(?:enable|enter|activate) (?:developer|god) mode|without any (?:restrictions|filters|ethical guidelines))\b"
        ),
        "chat_markup": r"<\|(?:im_start|im_end|system|assistant|start_header_id|eot_id)\|>|\[/?inst\]|<</?sys>>",
    }.items()
}

# Characters that nobody sees: control characters but tabs and line ends, those that turn the direction of writing (except the
# marks that right-to-left texts need), those of no width (except the joiners of emoji and of Indic and Arabic writing), and
# Unicode's tags and variation selectors, by which texts are hidden (except one after an ideograph, which chooses its form).
# https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing
# https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt (Default_Ignorable_Code_Point)
_INVISIBLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_SELECTORS = "\U000e0100-\U000e01ef"
_CONTROL = re.compile(
    f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb{_INVISIBLE}]"
    f"|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[{_SELECTORS}]"
)
_IGNORED = re.compile(f"[\u00ad\u200c-\u200f\u2066-\u2069\ufe00-\ufe0f{_INVISIBLE}{_SELECTORS}]")
# Spaces and hyphens of web pages and word processors, a dash between digits, and the wide digits, letters and @ of Chinese and
# Japanese writing.
_WRITTEN = re.compile(
    "[\u00a0\u2000-\u200a\u202f\u205f\u3000\u2010\u2011\uff10-\uff19\uff20-\uff3a\uff41-\uff5a]|(?<=\\d)[\u2012\u2013\u2212\uff0d](?=\\d)"
)
_PLAIN = {
    **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\uff0d", "-"),
    **{chr(wide): chr(wide - 0xFEE0) for wide in (*range(0xFF10, 0xFF1A), *range(0xFF20, 0xFF3B), *range(0xFF41, 0xFF5B))},
}
# Characters of a text that are read at once.
_READ_AT_ONCE = 64 * 1024
# Small letters of other alphabets that look like Latin ones: Cyrillic, Greek, Armenian.
# https://www.unicode.org/Public/security/latest/confusables.txt
_ALIKE = (
    "\u0430\u0432\u0441\u0501\u0435\u0450\u0451\u04bb\u043d\u0456\u0457\u0458\u043a\u04cf\u043c\u043e\u0440\u051b\u0455\u0442"
    "\u0443\u051d\u0445\u03b1\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b3\u0131\u0261\u0578\u0585\u057d"
)
_LATIN = str.maketrans(_ALIKE, "abcdeeehhiijklmopqstywxaenikvoptuxyignou")
_HAS_ALIKE = re.compile(f"[{_ALIKE}]")
# Unicode's normalization sorts the marks of a letter by insertion, so a letter with thousands of marks would take hours.
_NORMALIZED_AT_ONCE = 200


class TextFilter:
    """A filter of single texts, and what it is called when it has found something."""

    def __init__(self, settings: Filter) -> None:
        self.mode = settings.mode
        self.name = settings.name
        self._patterns = dict(INJECTIONS) if settings.builtin else {}
        # Own patterns see texts in small letters, too, and may have capitals.
        self._patterns |= {name: re.compile(pattern, re.IGNORECASE) for name, pattern in settings.patterns.items()}
        self._kinds = {kind: PII[kind] for kind in PII if kind in settings.kinds}

    def found(self, text: str) -> tuple[str, list[str]]:
        """Return the text with what was found masked, and the names of the policies that found something."""
        match self.name:
            case "control_characters":
                if text.isascii() and text.isprintable():
                    return text, []
                masked = _CONTROL.sub("", text)
                return masked, ["control_characters"] if masked != text else []
            case "injection":
                plain = _plain(text)
                # Own patterns may be in another alphabet, so the text is looked at with its own letters, too.
                forms = [plain, plain.translate(_LATIN)] if _HAS_ALIKE.search(plain) else [plain]
                found = (name for name, pattern in self._patterns.items() if any(pattern.search(form) for form in forms))
                return text, [f"injection:{name}" for name in found]
            case _:
                return self._without_pii(text)

    def _without_pii(self, text: str) -> tuple[str, list[str]]:
        read = _as_read(text)
        is_longer = len(text) > len(read)
        found: dict[str, array[int]] = {}
        for kind, (expression, _, holds, needs) in self._kinds.items():
            if needs.search(read) and (places := _places(kind, expression, holds, read)):
                found[kind] = places
                read = _blotted(read, places)  # no other kind is looked for there
        if not found:
            return text, []
        del read
        return _masked(text, found, _hidden(text) if is_longer else array("I")), [f"pii:{kind}" for kind in found]


def _as_read(text: str) -> str:
    """Return a text as it reads: without what nobody sees, with plain spaces, hyphens and digits. No character becomes two.

    It is made piece by piece, for `sub` keeps an object for each match.
    """
    if text.isascii():
        return text
    starts = range(0, len(text), _READ_AT_ONCE)
    text = "".join([_IGNORED.sub("", text[at : at + _READ_AT_ONCE]) for at in starts])
    # Whether a dash is plain depends on the characters beside it.
    pieces = (_WRITTEN.sub(_plain_character, text[max(0, at - 1) : at + _READ_AT_ONCE + 1]) for at in starts)
    return "".join([piece[min(at, 1) :][:_READ_AT_ONCE] for at, piece in zip(starts, pieces, strict=True)])


def _plain_character(match: re.Match[str]) -> str:
    return _PLAIN[match[0]]


def _places(kind: str, expression: re.Pattern[str], holds: Callable[[str], bool], read: str) -> "array[int]":
    """Return where a kind is found in a text as it reads: the beginning and the end of each place. A text of 4 MiB may have
    a million of them, so they are numbers without objects."""
    places = array("I")
    for match in expression.finditer(read):
        if holds(match[0]):
            end = match.end()
            places.append(end - 40 if kind == "aws_secret_key" else match.start())  # its name stays
            places.append(end)
    return places


def _blotted(read: str, places: "array[int]") -> str:
    """Return a text with what belongs to no kind in these places. All others stay where they are."""
    written, at = StringIO(), 0
    for start, end in zip(places[::2], places[1::2], strict=True):
        written.write(read[at:start])
        written.write("}" * (end - start))
        at = end
    written.write(read[at:])
    return written.getvalue()


def _hidden(text: str) -> "array[int]":
    """Return for each character that nobody sees how many that are seen stand before it."""
    return array("I", (match.start() - number for number, match in enumerate(_IGNORED.finditer(text))))


def _masked(text: str, found: Mapping[str, "array[int]"], hidden: "array[int]") -> str:
    """Return the text with the kinds in the places of what was found in it, as it reads. The rest stays as it is written."""
    each = (zip(places[::2], places[1::2], repeat(f"{{{kind.upper()}}}")) for kind, places in found.items())
    written, at, before = StringIO(), 0, 0
    for start, end, mask in merge(*each):
        before = bisect_right(hidden, start, before)
        written.write(text[at : start + before])
        written.write(mask)
        before = bisect_right(hidden, end - 1, before)
        at = end + before
    written.write(text[at:])
    return written.getvalue()


def _plain(text: str) -> str:
    """Return a text without what hides words: other forms of letters, capitals, invisible characters, more than one space."""
    if not text.isascii():
        pieces = (text[at : at + _NORMALIZED_AT_ONCE] for at in range(0, len(text), _NORMALIZED_AT_ONCE))
        text = _IGNORED.sub("", "".join(unicodedata.normalize("NFKC", piece) for piece in pieces))
    return " ".join(text.lower().split())


def text_filters(filters: tuple[Filter, ...]) -> Iterator[TextFilter]:
    """Yield the filters of single texts, in their order. That of the length looks at the whole prompt."""
    return (TextFilter(each) for each in filters if each.name != "length")
