"""A resource that is being made up: its inputs, where it lives, and the names and ids that follow from them."""

import base64
import functools
import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_llm_local.program.arguments import UNKNOWN

NAME_PROPERTIES: Final = {
    "aws:cloudwatch/eventTarget:EventTarget": "targetId",
    "aws:lambda/permission:Permission": "statementId",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:s3/bucketV2:BucketV2": "bucket",
}
"""The property that holds a type's physical name, where it isn't `name`."""


@dataclass(frozen=True)
class Place:
    """The account and region in which the resources live. Another seed gives other ids and names."""

    account: str = "123456789012"
    region: str = "us-east-1"
    seed: str = ""


@dataclass(frozen=True)
class Draft:
    """A resource (or a call) of one type, with its inputs free of secrets' wrappings."""

    token: str
    name: str
    """The logical name."""
    inputs: Mapping[str, Any]
    place: Place

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

    @property
    def name_property(self) -> str:
        """The property that holds the physical name."""
        return NAME_PROPERTIES.get(self.token, "name")

    @functools.cached_property
    def physical_name(self) -> str:
        """The name as given, else made from its prefix or, as autonaming does, from the logical name."""
        prefix_property = "bucketPrefix" if self.name_property == "bucket" else f"{self.name_property}Prefix"
        if prefix := self.text(prefix_property):
            return self.text(self.name_property, f"{prefix}{self.digits(26)}")
        return self.text(self.name_property, adapted_name(self.token, f"{self.name}-{self.hex(7, 'name')}", self.inputs))

    def text(self, key: str, default: str = "") -> str:
        """Give an input as text: the default where it is missing, `UNKNOWN` where it is unknown."""
        value = self.inputs.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return default if value is None else str(value)

    def rendered(self, templates: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the braces of an entry, as `computed_table` explains; what isn't text stays as it is."""

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


def adapted_name(token: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Make a name that was made up one that the type takes; one that fits already stays as it is."""
    if token == "aws:kms/alias:Alias":
        name = f"alias/{name.removeprefix('alias/')}"
    elif inputs.get("fifoQueue") is True or inputs.get("fifoTopic") is True:
        name = f"{name.removesuffix('.fifo')}.fifo"
    elif token in ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"):
        name = name.lower()
    elif token == "aws:apigateway/model:Model":  # a model's name takes letters and digits alone
        name = "".join(character for character in name if character.isalnum())
    return name


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
