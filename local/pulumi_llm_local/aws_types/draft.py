"""A resource that is being made up: its inputs, where it lives, and the names and ids that follow from them."""

import base64
import functools
import hashlib
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_llm_local.aws_types.values import UNKNOWN

ACCOUNT: Final = "123456789012"
CREATED: Final = "2026-01-01T00:00:00Z"
"""When every resource was created."""

AdaptName = Callable[[str, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Place:
    """The account and region, or the cluster, in which the resources live. Another seed gives other ids and names."""

    account: str = ACCOUNT
    region: str = "us-east-1"
    seed: str = ""
    cluster: str = ""
    """Of Kubernetes' objects: which cluster they are in."""


@dataclass(frozen=True)
class Draft:
    """A resource (or a call) of one type, with its inputs free of secrets' wrappings."""

    token: str
    name: str
    """The logical name."""
    inputs: Mapping[str, Any]
    place: Place
    name_property: str = "name"
    """The property that holds the physical name."""
    adapt_name: AdaptName | None = None

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return self.place.account

    @property
    def region(self) -> str:
        """The resource's own region, else the place's."""
        return self.text("region", self.place.region)

    @property
    def partition(self) -> str:
        """The partition of the region: aws, aws-cn or aws-us-gov."""
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.region.rpartition("-")[0].rpartition("-")[0], "aws")

    @property
    def dns_suffix(self) -> str:
        """The domain of the partition's endpoints."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    @functools.cached_property
    def physical_name(self) -> str:
        """The name as given, else made from its prefix or, as autonaming does, from the logical name."""
        if given := self.text(self.name_property):
            return given
        if prefix := self.text(f"{self.name_property}Prefix"):
            return f"{prefix}{self.digits(26)}"
        made_up = f"{self.name}-{self.hex(7, 'name')}"
        return self.adapt_name(made_up, self.inputs) if self.adapt_name else made_up

    def text(self, key: str, default: str = "") -> str:
        """Give an input as text: the default where it is missing, `UNKNOWN` where it is unknown."""
        value = self.inputs.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return default if value is None else str(value)

    def rendered(self, templates: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the names in braces; what isn't text stays as it is.

        A name is an input, an earlier output of the same entry, `{name}` or what else holds the physical name, `{region}`,
        `{account}`, `{partition}`, `{dns_suffix}` (of its endpoints), or a draw: `{uuid}`, `{sha256}`, `{hex17}`,
        `{digits12}`, `{lower10}`, `{upper13}` (lower- or upper-case letters and digits). A word before a draw, as in
        `{root.lower10}`, gives another one.
        """

        def fill(match: re.Match[str]) -> str:
            expression = match[1]
            if expression in self.inputs:
                return self.text(expression)
            if expression in templates:
                return render(templates[expression])
            if expression == self.name_property:
                return self.physical_name
            if expression in ("account", "region", "partition", "dns_suffix"):
                return getattr(self, expression)
            return self._draw(expression)

        def render(template: Any) -> Any:
            return re.sub(r"\{([\w.]+)\}", fill, template) if isinstance(template, str) else template

        return {key: render(template) for key, template in templates.items()}

    def _draw(self, expression: str) -> str:
        """Draw what an expression such as `root.lower10` asks for; an input that is missing is empty."""
        purpose, _, kind = expression.rpartition(".")
        if kind == "uuid":
            return self.uuid(purpose)
        if kind == "sha256":
            return self.sha256(purpose)
        if match := re.fullmatch(r"(hex|digits|lower|upper)([1-9]\d?)", kind):
            draw = {"hex": self.hex, "digits": self.digits, "lower": self.lower, "upper": self.upper}[match[1]]
            return draw(int(match[2]), purpose)
        return ""

    def hex(self, length: int, purpose: str = "") -> str:
        """Draw lower-case hexadecimal digits."""
        return self._digest(purpose).hex()[:length]

    def digits(self, length: int, purpose: str = "") -> str:
        """Draw decimal digits."""
        return self._drawn(length, string.digits, purpose)

    def lower(self, length: int, purpose: str = "") -> str:
        """Draw lower-case letters and digits."""
        return self._drawn(length, string.ascii_lowercase + string.digits, purpose)

    def upper(self, length: int, purpose: str = "") -> str:
        """Draw upper-case letters and digits."""
        return self._drawn(length, string.ascii_uppercase + string.digits, purpose)

    def uuid(self, purpose: str = "") -> str:
        """Draw a UUID of version 4."""
        drawn = self.hex(32, purpose)
        return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-a{drawn[17:20]}-{drawn[20:]}"

    def sha256(self, purpose: str = "") -> str:
        """Draw a SHA-256 sum as Lambda shows it: in base64."""
        return base64.b64encode(self._digest(purpose)).decode()

    def _drawn(self, length: int, alphabet: str, purpose: str) -> str:
        return drawn(f"{self.place.seed}/{self.token}/{self.name}/{purpose}", length, alphabet)

    def _digest(self, purpose: str) -> bytes:
        return hashlib.sha256(f"{self.place.seed}/{self.token}/{self.name}/{purpose}".encode()).digest()


def drawn(source: str, length: int, alphabet: str) -> str:
    """Draw characters of an alphabet that depend on a text alone; an unknown text gives an unknown."""
    if source == UNKNOWN:
        return UNKNOWN
    number = int.from_bytes(hashlib.sha512(source.encode()).digest(), "big")
    characters: list[str] = []
    for _ in range(length):
        number, index = divmod(number, len(alphabet))
        characters.append(alphabet[index])
    return "".join(characters)
