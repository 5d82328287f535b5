"""Bodies of multipart/form-data: the fields of a form, and its one file.

https://www.rfc-editor.org/rfc/rfc7578 and https://www.rfc-editor.org/rfc/rfc2046#section-5.1
"""

import re
from email.message import Message
from email.parser import HeaderParser
from email.utils import unquote

import msgspec

from llm_gateway import errors
from llm_gateway.errors import GatewayError, Problem, clipped

# The most parts of a form, the most bytes of the headers of one, and of the value of a field: OpenAI's forms have five parts.
MOST_PARTS = 16
_MOST_HEADERS = 4_096
_MOST_VALUE = 1_024
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")


class FormFile(msgspec.Struct, frozen=True):
    """A file of a form. `filename` is as the client gives it."""

    filename: str
    content: bytes


class Form(msgspec.Struct, frozen=True):
    """A form: the values of its fields and its files, each by the name of its field, which no two of them share."""

    fields: dict[str, str]
    files: dict[str, FormFile]


def read_form(content_type: str, body: bytes) -> Form:
    """Return the form in a body. Raises the error 400."""
    boundary = _boundary(content_type)
    # A boundary is a line that begins so; the first one may have nothing before it.
    delimiter = b"\r\n--" + boundary.encode()
    sections = (b"\r\n" + body).split(delimiter, MOST_PARTS + 1)
    form = Form({}, {})
    for section in sections[1:]:
        if section.startswith(b"--"):
            return form
        if len(form.fields) + len(form.files) == MOST_PARTS:
            raise _malformed(f"it has more than {MOST_PARTS} parts")
        _add(form, section)
    raise _malformed("it does not end with its boundary")


def _add(form: Form, section: bytes) -> None:
    """Read a part, from what follows its boundary on."""
    padding, line, rest = section.partition(b"\r\n")
    if padding.strip(b" \t") or not line:
        raise _malformed("a boundary is not a line")
    # A part without headers begins with the empty line.
    head, end, content = (b"\r\n" + rest[: _MOST_HEADERS + 4]).partition(b"\r\n\r\n")
    if not end:
        raise _malformed(f"the headers of a part are longer than {_MOST_HEADERS} bytes, or do not end")
    content = rest[len(head) + len(end) - 2 :]
    disposition = _disposition(head[2:])
    name, filename = disposition.get_param("name", header="content-disposition"), _filename(disposition)
    if disposition.get_content_disposition() != "form-data" or not isinstance(name, str) or not name:
        raise _malformed('a part has no header Content-Disposition: form-data; name="…"')
    if name in form.fields or name in form.files:
        raise errors.invalid_request([Problem(clipped(name), "may be given once")])
    if filename is not None:
        form.files[name] = FormFile(filename, content)
        return
    if len(content) > _MOST_VALUE:
        raise errors.invalid_request([Problem(clipped(name), f"must have at most {_MOST_VALUE:,} bytes, not {len(content):,}")])
    try:
        form.fields[name] = content.decode()
    except UnicodeDecodeError:
        raise errors.invalid_request([Problem(clipped(name), "must be UTF-8")]) from None


def _disposition(head: bytes) -> Message:
    """Return the headers of a part. They are UTF-8, where a name is not ASCII: RFC 7578, section 5.1."""
    try:
        return HeaderParser().parsestr(head.decode())
    except UnicodeDecodeError:
        raise _malformed("the headers of a part are not UTF-8") from None


def _filename(disposition: Message) -> str | None:
    """Return the name of a part's file, None if it is a field. Some clients write `filename*`, in UTF-8, although RFC 7578
    forbids it: https://www.rfc-editor.org/rfc/rfc5987"""
    given = disposition.get_param("filename", header="content-disposition")
    if given is None or isinstance(given, str):
        return given if given is None else unquote(given).strip()
    charset, _, text = given  # each character of the text stands for a byte
    if (charset or "us-ascii").lower() not in ("utf-8", "us-ascii"):
        raise _malformed("the filename* of a part is neither UTF-8 nor ASCII")
    try:
        return text.encode("latin-1").decode(charset or "us-ascii").strip()
    except UnicodeError:
        raise _malformed("the filename* of a part is not what its charset says") from None


def _boundary(content_type: str) -> str:
    headers = Message()
    headers["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    if headers.get_content_type() != "multipart/form-data":
        raise _malformed(f"its Content-Type is {clipped(content_type)!r}")
    boundary = headers.get_param("boundary")
    if not isinstance(boundary, str) or _BOUNDARY.fullmatch(boundary) is None:
        raise _malformed("its Content-Type names no boundary")
    return boundary


def _malformed(reason: str) -> GatewayError:
    return errors.invalid_form(reason=reason)
