"""The vectors of the stand-ins: the same for the same text, and near to each other for texts that share words."""

import hashlib
import math
import re

_WORD = re.compile(r"\w+")


def vector(text: str, dimensions: int) -> list[float]:
    """Return a vector of length one. Each word adds to the place that its hash names."""
    values = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        values[(digest >> 1) % dimensions] += 1.0 if digest & 1 else -1.0
    length = math.sqrt(sum(value * value for value in values))
    if not length:  # words that cancel each other
        return [1.0, *values[1:]]
    return [round(value / length, 8) for value in values]
