"""Types of settings that are times of the day, and time zones."""

from datetime import time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _time(text: str) -> str:
    try:
        found = time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time of the day, such as 06:00") from None
    if found.second or found.microsecond or found.tzinfo or len(text) != len("06:00"):
        raise ValueError(f"{text!r} must be hours and minutes, such as 06:00")
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database, such as "Europe"
        raise ValueError(f"{name!r} is no time zone of the IANA's database, such as UTC or Europe/Berlin") from None
    return name


TimeOfDay = Annotated[str, AfterValidator(_time)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
