"""instructor in its modes of tools and of JSON."""

import functools

import instructor
import openai
from checks import API_KEY, BASE_URL, run
from pydantic import BaseModel


class City(BaseModel):
    """A city and its country."""

    name: str
    country: str


def _extract(mode: instructor.Mode, model: str) -> None:
    client = instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=API_KEY), mode=mode)
    asked = [{"role": "user", "content": "Which city?"}]
    found = client.chat.completions.create(model=model, response_model=City, messages=asked, max_retries=0)
    assert isinstance(found, City)


if __name__ == "__main__":
    modes = (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA)
    run({mode.name.lower(): functools.partial(_extract, mode) for mode in modes})
