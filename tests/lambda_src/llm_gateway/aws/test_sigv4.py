"""The signer against AWS's own vectors and against botocore's signer."""

import datetime
import hmac
import traceback
from collections.abc import Sequence
from unittest import mock
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_gateway.aws import sigv4
from llm_gateway.aws.sigv4 import Signer

# AWS's published examples: not secrets.
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI"
    "/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xV"
    "qr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
MOMENT = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC).timestamp()
HOST = "example.amazonaws.com"
DAY = 86400

Headers = Sequence[tuple[str, str]]


def signed(headers: Headers) -> str:
    """The authorization among what a signer returned."""
    return dict(headers)["authorization"]


# AWS's test suite, as in https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4; those of its
# cases that have no query and no path that comes unencoded.
VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
FORM = "application/x-www-form-urlencoded"
UNRESERVED = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VECTORS: list[tuple[str, str, str, Headers, bytes, str]] = [
    ("get-vanilla", "GET", "/", [], b"", VANILLA),
    ("get-relative-normalized", "GET", "/example/..", [], b"", VANILLA),
    ("get-relative-relative-normalized", "GET", "/example1/example2/../..", [], b"", VANILLA),
    ("get-slash-normalized", "GET", "//", [], b"", VANILLA),
    ("get-slash-dot-slash-normalized", "GET", "/./", [], b"", VANILLA),
    (
        "get-slash-pointless-dot-normalized",
        "GET",
        "/./example",
        [],
        b"",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    (
        "get-slashes-normalized",
        "GET",
        "//example//",
        [],
        b"",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    ("get-unreserved", "GET", UNRESERVED, [], b"", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    (
        "get-header-value-trim",
        "GET",
        "/",
        [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "get-header-key-duplicate",
        "GET",
        "/",
        [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        b"",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    ("post-vanilla", "POST", "/", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "post-header-key-sort",
        "POST",
        "/",
        [("My-Header1", "value1")],
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    (
        "post-header-value-case",
        "POST",
        "/",
        [("My-Header1", "VALUE1")],
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    (
        "post-x-www-form-urlencoded",
        "POST",
        "/",
        [("Content-Type", FORM)],
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    (
        "post-x-www-form-urlencoded-parameters",
        "POST",
        "/",
        [("Content-Type", f"{FORM}; charset=utf8")],
        b"Param1=value1",
        "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "signature"), [case[1:] for case in VECTORS], ids=[case[0] for case in VECTORS]
)
def test_vector_of_aws(method: str, path: str, headers: Headers, body: bytes, signature: str) -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, None, "us-east-1", "service")
    names = ";".join(sorted({"host", "x-amz-date", *(name.lower() for name, _ in headers)}))
    assert signer.sign(method, HOST, path, headers, body, MOMENT) == [
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders={names}, Signature={signature}",
        ),
    ]


def test_vector_of_aws_with_a_session_token() -> None:
    """post-sts-header-before of the same suite."""
    signer = Signer(ACCESS_KEY, SECRET_KEY, TOKEN, "us-east-1", "service")
    assert signer.sign("POST", HOST, "/", [], b"", MOMENT) == [
        ("x-amz-date", "20150830T123600Z"),
        ("x-amz-security-token", TOKEN),
        (
            "authorization",
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date;x-amz-security-token, "
            "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ]


def botocores(
    token: str | None, region: str, service: str, host: str, path: str, headers: Headers, body: bytes, now: float
) -> dict[str, str]:
    """What botocore adds to the same request."""
    request = AWSRequest(method="POST", url=f"https://{host}{path}", data=body)
    for name, value in headers:
        request.headers[name] = value  # a second one of the name is added, not put in the first one's place
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token), service, region).add_auth(request)
    added = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
    return {name.lower(): request.headers[name] for name in added if name in request.headers}


NAMES = st.sampled_from(
    ["accept", "Content-Type", "User-Agent", "X-Amz-Target", "x-amzn-trace-id", "Connection", "traceparent", "X-A", "x-a", "zz"]
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85"), max_size=30)
SEGMENTS = st.one_of(
    st.text(max_size=12).map(lambda text: quote(text.encode(errors="replace"), safe="")),
    st.text("abz09-._~%:@!$&'()*+,;=|\"<>[]^`{}\\", max_size=8),
    st.sampled_from(["", ".", "..", "...", "model", "converse-stream", quote("arn:aws:bedrock:x:1:y/z", safe="")]),
)
PATHS = st.lists(SEGMENTS, max_size=6).map(lambda segments: "/" + "/".join(segments))


@settings(max_examples=250, deadline=None)
@given(
    token=st.none() | st.just("") | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    where=st.sampled_from([("eu-central-1", "bedrock"), ("us-east-1", "dynamodb"), ("us-gov-west-1", "sts")]),
    host=st.sampled_from(["bedrock-runtime.eu-central-1.amazonaws.com", "127.0.0.1:8080", "[::1]:4566", "localhost"]),
    path=PATHS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    body=st.binary(max_size=200),
    now=st.integers(0, 4 * 10**12).map(lambda ms: ms / 1000) | st.integers(1, 40000).map(lambda day: day * DAY - 0.001),
)
@example(None, ("eu-central-1", "bedrock"), "h", "/model/arn%3Aaws%2Fx/converse-stream", [("A", "é")], b"{}", 1.7e9)
def test_same_as_botocore(
    token: str | None, where: tuple[str, str], host: str, path: str, headers: Headers, body: bytes, now: float
) -> None:
    added = Signer(ACCESS_KEY, SECRET_KEY, token, *where).sign("POST", host, path, headers, body, now)
    assert len(dict(added)) == len(added)
    assert dict(added) == botocores(token, *where, host, path, headers, body, now)


def test_key_is_derived_once_a_day() -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, TOKEN, "eu-central-1", "bedrock")
    midnight = 20000 * DAY
    moments = [midnight - 2, midnight - 0.5, midnight, midnight + 0.5, midnight + DAY - 1, midnight - 1, midnight + 3 * DAY]
    hashed: list[int] = []
    for now in moments:
        with mock.patch.object(hmac, "digest", wraps=hmac.digest) as digest:
            added = signer.sign("POST", HOST, "/a", [], b"x", now)
        hashed.append(digest.call_count)
        assert dict(added) == botocores(TOKEN, "eu-central-1", "bedrock", HOST, "/a", [], b"x", now)
    assert hashed == [5, 1, 5, 1, 1, 5, 5]


def test_known_paths_are_bounded() -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, None, "us-east-1", "service")
    first = signer.sign("POST", HOST, "/0", [], b"", MOMENT)
    for number in range(3 * sigv4.CACHED_PATHS):
        signer.sign("POST", HOST, f"/{number}", [], b"", MOMENT)
        assert len(signer._paths) <= sigv4.CACHED_PATHS
    assert signer.sign("POST", HOST, "/0", [], b"", MOMENT) == first


REFUSED: list[tuple[str, str, Headers, str]] = [
    ("query", "/a?b=c", [], "path: "),
    ("fragment", "/a#b", [], "path: "),
    ("no slash", "a", [], "path: "),
    ("empty path", "", [], "path: "),
    ("space", "/a b", [], "path: "),
    ("line end", "/a\nb", [], "path: "),
    ("not ASCII", "/ä", [], "path: "),
    ("lone surrogate", "/", [("x", "\ud800")], "a header has a lone surrogate"),
    ("lone surrogate in a name", "/", [("x\udfff", "")], "a header has a lone surrogate"),
    *(
        (name, "/", [(name, "secret-value")], f"{name.lower()}: ")
        for name in ("Authorization", "host", "X-Amz-Date", "x-amz-security-token", "X-AMZ-Content-SHA256")
    ),
]


@pytest.mark.parametrize(
    ("path", "headers", "says"), [case[1:] for case in REFUSED], ids=[case[0].replace(" ", "-") for case in REFUSED]
)
def test_request_that_cannot_be_signed(path: str, headers: Headers, says: str) -> None:
    signer = Signer(ACCESS_KEY, SECRET_KEY, TOKEN, "us-east-1", "service")
    with pytest.raises(ValueError, match=says) as caught:
        signer.sign("POST", HOST, path, headers, b"", MOMENT)
    assert type(caught.value) is ValueError
    assert_discreet(caught.value)
    again = signer.sign("POST", HOST, "/", [], b"", MOMENT)
    assert signed(again).endswith("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")


def assert_discreet(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error)) + repr(error)
    assert "\n" not in str(error)
    assert not any(secret in text for secret in (SECRET_KEY, TOKEN, "secret-value"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_key", ""),
        ("secret_key", ""),
        ("secret_key", f"{SECRET_KEY}\n"),
        ("session_token", f"{TOKEN}\r\nx: y"),
        ("session_token", f"{TOKEN}ä"),
        ("region", "eu central"),
        ("service", ""),
    ],
)
def test_signer_that_cannot_be_made(field: str, value: str) -> None:
    fields = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "session_token": TOKEN, "region": "x", "service": "y"}
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        Signer(**fields | {field: value})
    assert_discreet(caught.value)


def test_repr_has_no_secret() -> None:
    text = repr(Signer(ACCESS_KEY, SECRET_KEY, TOKEN, "us-east-1", "service"))
    assert not any(secret in text for secret in (ACCESS_KEY, SECRET_KEY, TOKEN))


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("path", ["/files/file-1", "/the%20bucket/a//%C3%A4/../b+c"])
def test_a_presigned_url_is_botocores(token: str | None, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime(2026, 12, 1, 3, 4, 5, tzinfo=datetime.UTC)
    query = [("response-content-disposition", 'attachment; filename="a b.jsonl"'), ("response-content-type", "text/plain")]
    mine = Signer(ACCESS_KEY, SECRET_KEY, token, "eu-west-1", "s3").presign(HOST, path, query, 300, now.timestamp())
    request = AWSRequest("GET", f"https://{HOST}{path}", params=dict(query))
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None))
    S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY, token), "s3", "eu-west-1", expires=300).add_auth(request)
    theirs = urlsplit(request.url)
    assert sorted(parse_qsl(mine, strict_parsing=True)) == sorted(parse_qsl(theirs.query, strict_parsing=True))
