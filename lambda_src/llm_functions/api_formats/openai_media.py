"""Images and files in the messages of OpenAI's chat format.

https://platform.openai.com/docs/guides/images-vision, https://platform.openai.com/docs/guides/pdf-files
Nothing is fetched here: an address is passed on to a provider that fetches it itself.
"""

import re
from typing import Literal

from llm_functions.api_formats.fields import Fields
from llm_functions.api_formats.media import ADDRESS, is_address, is_base64
from llm_gateway.errors import clipped
from llm_gateway.request import Media

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
# By the endings of file names.
DOCUMENTS = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w-]+=[\w.-]+)*;base64,")


def image(part: Fields) -> Media | None:
    """Return the image of a part ``image_url``. None: it is wrong."""
    holder = part.object("image_url")
    if holder is None:
        if not part.has("image_url"):
            part.wrong("image_url", "is required, an object")
        return None
    detail = image_detail(holder)
    url = (holder.string("url", required=True) or "").strip()
    if is_address(url):
        return Media(kind="image", url=url, detail=detail)
    media = embedded(url, "image", detail=detail)
    if media is None:
        known = ", ".join(kind.removeprefix("image/") for kind in IMAGES)
        holder.wrong("url", f"must be {ADDRESS} or data:image/TYPE;base64,… of {known}, not {clipped(url, 32)!r}")
        return None
    return media


def file(part: Fields) -> Media | None:
    """Return the document of a part ``file``. None: it is wrong."""
    holder = part.object("file")
    if holder is None:
        if not part.has("file"):
            part.wrong("file", "is required, an object")
        return None
    if holder.any("file_id") is not None:
        holder.wrong("file_id", "no files are kept here; send file_data")
        return None
    name = holder.string("filename") or ""
    data = (holder.string("file_data", required=True) or "").strip()
    if not data.startswith("data:"):  # some clients send the base64 alone
        data = f"data:{DOCUMENTS.get(name.rpartition('.')[2].lower(), '')};base64,{data}"
    media = embedded(data, "document", name)
    if media is None:
        holder.wrong(
            "file_data", f"must be data:TYPE;base64,… of {', '.join(DOCUMENTS)}, such as data:application/pdf;base64,…"
        )
        return None
    return media


def image_detail(fields: Fields) -> str:
    """Return how closely an image is looked at: low, high or another word of OpenAI's; empty where the model decides."""
    detail = fields.string("detail") or ""
    return "" if detail == "auto" else detail


def embedded(url: str, kind: Literal["image", "document"], name: str = "", detail: str = "") -> Media | None:
    """Return what a ``data:`` URL holds, if it is of a type that a model may take; None for any other text."""
    head = _DATA.match(url)
    if head is None:
        return None
    media_type = "image/jpeg" if head[1] == "image/jpg" else head[1]
    data = url[head.end() :]
    if media_type not in (IMAGES if kind == "image" else DOCUMENTS.values()):
        return None
    return Media(kind, media_type, data, name=name, detail=detail) if is_base64(data) else None
