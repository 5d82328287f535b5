"""Secrets in texts from outside."""

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpClient
from llm_gateway.redaction import redacted

SHORT = "00;00000000{"
SECRET = "sk-own+key/of=provider\\0123"
TEXTS: dict[str, tuple[str, str]] = {
    "as it is": (f"key {SECRET} is wrong", "key *** is wrong"),
    "alone": (SECRET, "***"),
    "twice": (f"{SECRET}{SECRET}, {SECRET}", "***, ***"),
    "in JSON": (f"key {json.dumps(SECRET)}", 'key "***"'),
    "in JSON in JSON": (json.dumps(json.dumps(SECRET)), '"\\"***\\""'),
    "with escapes that JSON need not have": (SECRET.replace("+", "\\u002b").replace("/", "\\/"), "***"),
    "in a URL": (f"?key={quote(SECRET, safe='')}&x", "?key=***&x"),
    "in HTML": (f"<b>{SECRET.replace('+', '&#43;').replace('/', '&#x2F;')}</b>", "<b>***</b>"),
    "after a sign that begins escapes": (f"%{SHORT.replace('{', '%7B')} &#{SHORT.replace('{', '%7B')}", "%*** &#***"),
    "cut at its end": (f"key {SECRET[:14]}…", "key ***…"),
    "cut at its beginning": (f"…{SECRET[-14:]}", "…***"),
    "too little of it to be known": ("sk-own", "sk-own"),
    "nothing": ("", ""),
    "a code that is no character": ("&#xFFFFF; &#999999; &#xFFFFFF; \\ud800", "&#xFFFFF; &#999999; &#xFFFFFF; \\ud800"),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_what_is_left_of_a_text(text: str, expected: str) -> None:
    assert redacted(text, ["", "short", SECRET, SHORT]) == expected


def test_a_short_secret_is_known_as_a_whole() -> None:
    assert redacted("abc-defg abc-defgh abc-def", ["abc-defg"]) == "*** ***h abc-def"
    assert redacted("EMPTY", ["EMPTY", ""]) == "EMPTY", "a placeholder for a server that checks no key"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60), st.text(), st.text())
def test_no_secret_survives_however_it_is_written(secret: str, before: str, after: str) -> None:
    writings = [secret, json.dumps(secret)[1:-1], quote(secret, safe=""), html.escape(secret)]
    writings.append("".join(f"\\u{ord(character):04X}" for character in secret))
    for written in writings:
        assert written not in redacted(before + written + after, [secret])


@given(st.text())
def test_other_texts_stay(text: str) -> None:
    assert redacted(text, ["x" * 40]) == text or "x" * 12 in text


def test_aws_credentials() -> None:
    token, secret = "IQoJb3JpZ2luX2VjEJ/session+token==", "wJalrXUtnFEMI/K7MDENG"
    environ = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token, "AWS_REGION": "x"}
    aws = Aws(HttpClient(), environ)
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
    told = f"The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:{token}\n'"
    assert token not in aws.redact(told) and "***" in aws.redact(told)
    assert aws.redact(secret) == "***"
