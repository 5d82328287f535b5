"""The passages that an answer cites, in the words of OpenAI's annotations: where in the text each is cited."""

import re
from collections.abc import Sequence
from typing import Any

from llm_gateway.events import Citation

_MARK = re.compile(r"\[(\d{1,2})\]")


def url_citations(text: str, citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """Return the fields of a `url_citation` for each number in brackets that is a passage's, with its place in the text.

    https://platform.openai.com/docs/guides/tools-web-search#output-and-citations
    """
    known = {citation.index: citation for citation in citations}
    found: list[dict[str, Any]] = []
    for mark in _MARK.finditer(text):
        if (cited := known.get(int(mark[1]))) is not None:
            place = {"start_index": mark.start(), "end_index": mark.end()}
            found.append({**place, "url": cited.source, "title": cited.title})
    return found
