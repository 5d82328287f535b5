"""Reads a JSON object field by field and collects its problems, so that all of them are reported at once."""

from collections.abc import Mapping
from typing import Any, cast

from llm_gateway.errors import MOST_PROBLEMS, Problem, clipped, invalid_request


class Fields:
    """The fields of a JSON object. Each field that is wrong becomes a `Problem`; `finish` raises all of them.

    `null` counts as not given. `place` precedes the name of a field in an error, such as ``tools[0].``.
    """

    def __init__(self, value: Mapping[str, Any], place: str = "", problems: list[Problem] | None = None) -> None:
        self._value = value
        self._place = place
        self._known: list[str] = []
        self.problems: list[Problem] = [] if problems is None else problems

    @property
    def place(self) -> str:
        """Where the object is, without the dot at the end."""
        return self._place.removesuffix(".")

    def wrong(self, name: str, message: str) -> None:
        self.problems.append(Problem(f"{self._place}{clipped(name)}", message))

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def any(self, name: str) -> Any:
        self._known.append(name)
        return self._value.get(name)

    def string(self, name: str, *, required: bool = False) -> str | None:
        value = self.any(name)
        if value is None:
            if required:
                self.wrong(name, "is required, a string")
            return None
        if not isinstance(value, str):
            self.wrong(name, f"must be a string, not {kind(value)}")
            return None
        if required and not value.strip():
            self.wrong(name, "must not be empty")
        return value

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        value = self._value.get(name)
        whole = int(value) if isinstance(value, float) and value.is_integer() else value  # 5.0 is a whole number in JSON
        return self._between(name, whole, low, high, int, "a whole number")

    def number(self, name: str, low: float, high: float) -> float | None:
        value = self._between(name, self._value.get(name), low, high, (int, float), "a number")
        return None if value is None else float(value)

    def _between(self, name: str, value: Any, low: float, high: float | None, types: Any, expected: str) -> Any:
        self._known.append(name)
        if value is None:
            return None
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        if isinstance(value, bool) or not isinstance(value, types):
            self.wrong(name, f"must be {expected} {bounds}, not {kind(value)}")
        elif value < low or (high is not None and value > high):
            self.wrong(name, f"must be {bounds}, not {clipped(str(value))}")
        else:
            return value
        return None

    def numbers(self, bounds: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
        """Several numbers by their names; each from and to, both included."""
        return {name: self.number(name, low, high) for name, (low, high) in bounds.items()}

    def boolean(self, name: str) -> bool:
        value = self.any(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.wrong(name, f"must be true or false, not {kind(value)}")
            return False
        return value

    def strings(self, name: str, most: int) -> tuple[str, ...]:
        """Return a string or a list of strings as a tuple. None of them may be empty."""
        value = self.any(name)
        if value is None:
            return ()
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item for item in values):
            self.wrong(name, "must be a string or a list of strings, none of them empty")
            return ()
        if len(values) > most:
            self.wrong(name, f"may hold at most {most}, not {len(values)}")
            return ()
        return tuple(values)

    def objects(self, name: str) -> list["Fields"]:
        """Return the objects of a list, each as `Fields` whose problems are collected here."""
        value = self.any(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(name, f"must be a list of objects, not {kind(value)}")
            return []
        items: list[Fields] = []
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if isinstance(item, dict):
                items.append(Fields(item, f"{self._place}{name}[{index}].", self.problems))  # pyright: ignore[reportUnknownArgumentType]
            else:
                self.wrong(f"{name}[{index}]", f"must be an object, not {kind(item)}")
        return items

    def object(self, name: str) -> "Fields | None":
        value = self.any(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(name, f"must be an object, not {kind(value)}")
            return None
        return Fields(value, f"{self._place}{name}.", self.problems)  # pyright: ignore[reportUnknownArgumentType]

    def no_others(self) -> None:
        """Report each field that was not read as unknown."""
        for name in self._value:
            if name not in self._known:
                if len(self.problems) >= MOST_PROBLEMS:  # no answer lists it, and a body may have thousands
                    self.wrong(name, "is not known")
                    continue
                import difflib

                near = difflib.get_close_matches(clipped(name), self._known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(set(self._known)))}"
                self.wrong(name, f"is not known{hint}")

    def finish(self) -> None:
        if self.problems:
            raise invalid_request(self.problems)


def kind(value: Any) -> str:
    """Return the type of a JSON value in JSON's terms."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
