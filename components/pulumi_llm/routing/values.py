"""Plain values of a configuration, read one by one, with what is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

# The names of aliases, keys and providers.
NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
NAME_FORM = "a name: small letters, digits, '.', '_' and '-', at most 63"

_Word = TypeVar("_Word")


class Mistake(NamedTuple):
    """What is wrong, and where: `path` is as ``models[0].targets[1].weight``."""

    path: str
    reason: str


class Reading:
    """Collects the mistakes. Each method reads one value, and tells where it is wrong; a missing value is None."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._unreadable: list[str] = []

    def tell(self, path: str, reason: str) -> None:
        """Nothing more is told of a value that is no list or holds no keys, nor of what is missing in it."""
        if not any(path == of or path.startswith((f"{of}.", f"{of}[")) for of in self._unreadable):
            self.mistakes.append(Mistake(path, reason))

    def text(self, path: str, value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        self.tell(path, f"must be a string, not {value!r}")
        return None

    def required_text(self, path: str, value: Any) -> str | None:
        if value is None:
            self.tell(path, "is required, but not given")
        return self.text(path, value)

    def one_of(self, path: str, value: Any, known: Sequence[_Word]) -> _Word | None:
        if value is None or value in known:
            return value
        self.tell(path, f"must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, not {value!r}")
        return None

    def whole(self, path: str, value: Any, least: int, most: int | None = None) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return self._within(path, value, least, most)
        self.tell(path, f"must be a whole number, not {value!r}")
        return None

    def number(self, path: str, value: Any, least: int, most: int | None = None) -> float | None:
        if value is None or is_number(value):
            return self._within(path, value, least, most)
        self.tell(path, f"must be a number, not {value!r}")
        return None

    def _within(self, path: str, value: Any, least: int, most: int | None) -> Any:
        if value is None or least <= value <= (most if most is not None else value):
            return value
        self.tell(path, f"must be at least {least}, not {value}" if most is None else _between(least, most, value))
        return None

    def items(self, path: str, value: Any) -> Sequence[Any]:
        """A list; nothing for what is none."""
        if value is None:
            return ()
        if isinstance(value, Sequence) and not isinstance(value, str):
            return cast("Sequence[Any]", value)
        self.tell(path, f"must be a list, not {value!r}")
        self._unreadable.append(path)
        return ()

    def fields(self, path: str, value: Any) -> dict[str, Any]:
        """Keys and values, without those that are None."""
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return {str(key): each for key, each in cast("Mapping[Any, Any]", value).items() if each is not None}
        self.tell(path, f"must hold keys and values, not {value!r}")
        self._unreadable.append(path)
        return {}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between(least: int, most: int, value: Any) -> str:
    return f"must be between {least} and {most}, not {value}"
