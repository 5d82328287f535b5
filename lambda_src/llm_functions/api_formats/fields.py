"""Reads a JSON object field by field and collects its problems, so that all of them are reported at once."""

from collections.abc import Collection, Mapping
from typing import Any, cast

from llm_functions.json_objects import MOST_VALUES, TooManyValues, check, decode_object
from llm_gateway.errors import MOST_PROBLEMS, Problem, clipped, invalid_request
from llm_gateway.request import Cache

# The most messages of a conversation, and the most items of any other list of objects.
MOST_MESSAGES = 10_000
MOST_ITEMS = 1_000
# Of a stop sequence: where the gateway looks for it, it is compared with each part of the answer.
LONGEST_STRING = 500
# Levels of a tool's JSON. JSON that could be decoded may still be too deep to encode, when more of the stack is in use.
MAX_NESTING = 100


class Fields:
    """The fields of a JSON object. Each field that is wrong becomes a `Problem`; `finish` raises all of them.

    `null` counts as not given. `place` precedes the name of a field in an error, such as ``tools[0].``. `whole` is what is
    collected of the whole body.
    """

    __slots__ = ("_known", "_known_besides", "_place", "_value", "_whole")

    def __init__(self, value: Mapping[str, Any], place: str = "", whole: "_Whole | None" = None) -> None:
        self._value = value
        self._place = place
        self._known: list[str] = []
        self._known_besides: Collection[str] = ()
        self._whole = _Whole() if whole is None else whole

    @property
    def place(self) -> str:
        """Where the object is, without the dot at the end."""
        return self._place.removesuffix(".")

    def wrong(self, name: str, message: str) -> None:
        if len(self._whole.problems) <= MOST_PROBLEMS:  # of the ones beyond, the error only says that there are some
            self._whole.problems.append(Problem(f"{self._place}{clipped(name)}", message))

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def given(self, names: Collection[str]) -> list[str]:
        """Return which of the fields `names` are given. All of them are known; a format asks once."""
        self._known_besides = names
        return [name for name, value in self._value.items() if name in names and value is not None]

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
        if (longest := max(map(len, values), default=0)) > LONGEST_STRING:
            self.wrong(name, f"must have at most {LONGEST_STRING} characters each, not {longest:,}")
            return ()
        return tuple(values)

    def objects(self, name: str, most: int) -> list["Fields"]:
        """Return the objects of a list of at most `most`, each as `Fields` whose problems are collected here."""
        value = self.any(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(name, f"must be a list of objects, not {kind(value)}")
            return []
        length = len(cast("list[Any]", value))
        if length > most:
            self.wrong(name, f"may hold at most {most:,}, not {length:,}")
            return []
        items: list[Fields] = []
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if isinstance(item, dict):
                items.append(Fields(item, f"{self._place}{name}[{index}].", self._whole))  # pyright: ignore[reportUnknownArgumentType]
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
        return Fields(value, f"{self._place}{name}.", self._whole)  # pyright: ignore[reportUnknownArgumentType]

    def object_schema(self, name: str, *, required: bool = False) -> dict[str, Any]:
        """Return a JSON Schema of an object, such as of a tool's arguments. None, or an empty one, is of any object.

        It is given a type, which Bedrock and Anthropic do not take it without, and properties, which OpenAI does not. What is
        null at its top is not given.
        """
        value = self.any(name)
        if not isinstance(value, dict):
            if required or value is not None:
                self.wrong(name, "is required, a JSON Schema" if value is None else f"must be a JSON Schema, not {kind(value)}")
            value = {}
        schema = cast("dict[str, Any]", value)
        if None in schema.values():
            schema = {name: part for name, part in schema.items() if part is not None}
        self.check_nesting(name, schema)
        shape = schema.get("type")
        if shape not in (None, "object"):
            self.wrong(f"{name}.type", f"must be 'object', not {clipped(str(shape))!r}; put another value into a property")
        if shape is None or "properties" not in schema:
            return {**schema, "type": "object", "properties": schema.get("properties", {})}
        return schema

    def no_others(self) -> None:
        """Report each field that was not read as unknown. One that is null is not given."""
        known = self._known
        for name, value in self._value.items():
            if value is None or name in known or name in self._known_besides:
                continue
            if len(self._whole.problems) > MOST_PROBLEMS:  # a body may have thousands
                return
            import difflib

            known = {*known, *self._known_besides}
            near = difflib.get_close_matches(clipped(name), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
            self.wrong(name, f"is not known{hint}")

    def arguments(self, name: str) -> tuple[dict[str, Any], str]:
        """Return the object whose JSON text a string holds: the arguments of a call, as a model wrote them.

        Empty text is an empty object. Other text, such as what the bound of an answer cut, is returned besides an object that
        holds it. All such texts of a body share one bound of their values.
        """
        given = self.string(name) or ""
        if not given.strip():
            return {}, ""
        text = given.encode()
        if not self.count_values(name, text):
            return {}, ""
        try:
            value = decode_object(text)
        except ValueError:
            return {"arguments": given}, given
        except RecursionError:
            self.wrong(name, "is nested too deeply")
            return {}, ""
        self.check_nesting(name, value)
        return value, ""

    def count_values(self, name: str, text: bytes) -> bool:
        """Whether the JSON in a string, with that of the other strings of the body, is within the bound of values."""
        try:
            self._whole.values += check(text, MOST_VALUES - self._whole.values)
        except TooManyValues:
            self.wrong(name, f"holds, with the ones before it, more than {MOST_VALUES:,} names and values")
            return False
        return True

    def check_nesting(self, name: str, value: dict[str, Any]) -> None:
        """Report an object that is nested more than `MAX_NESTING` levels deep."""
        level: list[Any] = [value]
        for _ in range(MAX_NESTING):
            items = [
                item for each in level for item in (cast("dict[str, Any]", each).values() if isinstance(each, dict) else each)
            ]
            level = [item for item in items if isinstance(item, dict | list)]
            if not level:
                return
        self.wrong(name, f"may be nested at most {MAX_NESTING} levels deep")

    def finish(self) -> None:
        if self._whole.problems:
            raise invalid_request(self._whole.problems)


class _Whole:
    """What is collected of a whole body: its problems, and how many values the JSON texts in its strings hold."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.values = 0


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


def cache_point(value: Any) -> Cache:
    """Return the cache point that a value of ``cache_control`` marks, which may say for how long it is kept."""
    if value is None:
        return False
    return "1h" if isinstance(value, dict) and cast("dict[str, Any]", value).get("ttl") == "1h" else True
