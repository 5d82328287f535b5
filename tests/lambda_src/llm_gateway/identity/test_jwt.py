"""Tokens of an issuer on loopback, signed by a cryptography library; each kind of wrong token is refused."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from llm_gateway.http.client import HttpClient, HttpError
from llm_gateway.identity.jwt import IssuerError, TokenVerifier, accepted_until

NOW = 1_800_000_000
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e), **more}


WARNINGS: list[str] = []


class Issuer:
    """An issuer whose keys and documents a test may change; it counts what is asked."""

    def __init__(self) -> None:
        self.keys = [jwk(KEY, "one", use="sig", alg="RS256"), jwk(SHORT, "short"), {"kty": "EC", "kid": "ec"}]
        self.url = ""
        self.names: str | None = None
        self.jwks_uri: str | None = None
        self.status = 200
        self.asked = 0

    async def discovery(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(
            {"issuer": self.names or self.url, "jwks_uri": self.jwks_uri or f"{self.url}/keys"}, status=self.status
        )

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.discovery)
    app.router.add_get("/keys", made.jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


def verifier(issuer: Issuer, client: HttpClient, clock: Clock | None = None, **changes: Any) -> TokenVerifier:
    given = {"audiences": ["chat", "other"], "tenant_claim": "org", "models_claim": None, **changes}
    return TokenVerifier(client, issuer=issuer.url, clock=clock or Clock(), warn=WARNINGS.append, **given)


NULL = object()
"""A claim that is null; None is a claim that is not there."""


def token(issuer: Issuer, key: rsa.RSAPrivateKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    head = {"alg": "RS256", "kid": "one", "typ": "JWT", **(header or {})}
    body = {"iss": issuer.url, "aud": "chat", "sub": "me", "org": "acme", "exp": NOW + 300, **claims}
    body = {name: None if value is NULL else value for name, value in body.items() if value is not None}
    signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
    return f"{signed}.{b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


async def test_a_good_token_tells_its_caller(issuer: Issuer, client: HttpClient) -> None:
    judge = verifier(issuer, client)
    for kind in ("JWT", "jwt", "at+jwt", "application/at+JWT"):
        assert await judge.caller(token(issuer, header={"typ": kind})) is not None
    for claims in ({}, {"aud": ["x", "other"]}, {"nbf": NOW + 30}, {"exp": NOW - 30}):
        caller = await judge.caller(token(issuer, **claims))
        assert caller is not None
        assert (caller.tenant, caller.key, caller.models) == ("acme", "me", None)
    assert issuer.asked == 1, "the issuer's keys are remembered"


async def test_a_token_is_accepted_for_as_long_as_a_new_verifier_accepts_it(issuer: Issuer, client: HttpClient) -> None:
    good = token(issuer, exp=NOW + 300.5)
    clock = Clock()
    clock.now = accepted_until(good) - 1
    assert await verifier(issuer, client, clock).caller(good) is not None
    clock.now += 2
    assert await verifier(issuer, client, clock).caller(good) is None
    assert accepted_until(token(issuer, exp=1e300)) < 2**54


async def test_a_token_without_a_subject_is_nobody_elses(issuer: Issuer, client: HttpClient) -> None:
    judge = verifier(issuer, client)
    callers = [await judge.caller(token(issuer, sub=sub)) for sub in (None, NULL, "None", "acme")]
    assert [caller and caller.key for caller in callers] == ["", "", "None", "acme"]


BAD: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 61},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "not yet": {"nbf": NOW + 61},
    "another audience": {"aud": "else"},
    "no audience": {"aud": None},
    "an audience that is no text": {"aud": [1, None]},
    "another issuer": {"iss": "https://evil.example.com"},
    "no tenant": {"org": None},
    "a tenant that is no text": {"org": 7},
    "an empty tenant": {"org": ""},
    "a tenant that ends a text in the access log": {"org": 'x","status":"200'},
    "a subject with a line break": {"sub": "me\n"},
    "a subject with a backslash": {"sub": "me\\"},
    "a subject that is too long": {"sub": "m" * 256},
    "a subject that is not ASCII": {"sub": "m\xe9"},
    "a subject that is no text": {"sub": 7},
    "an empty subject": {"sub": ""},
}


@pytest.mark.parametrize("claims", BAD.values(), ids=BAD)
async def test_a_token_with_wrong_claims(issuer: Issuer, client: HttpClient, claims: dict[str, Any]) -> None:
    assert await verifier(issuer, client).caller(token(issuer, **claims)) is None


FORGED: dict[str, Any] = {
    "another's key": lambda i: token(i, OTHER),
    "no signature": lambda i: token(i).rpartition(".")[0] + ".",
    "a cut signature": lambda i: token(i)[:-4],
    "a signature with zeros before it": lambda i: token(i).rpartition(".")[0] + "." + b64(b"\x00" + b"\x01" * 256),
    "a number that is its own root": lambda i: token(i).rpartition(".")[0] + "." + b64(b"\x00" * 255 + b"\x01"),
    "alg none": lambda i: token(i, header={"alg": "none"}),
    "alg HS256": lambda i: token(i, header={"alg": "HS256"}),
    "a logout": lambda i: token(i, header={"typ": "logout+jwt"}),
    "a proof of possession": lambda i: token(i, header={"typ": "dpop+jwt"}),
    "a type that is no text": lambda i: token(i, header={"typ": 7}),
    "a key's id that is no text": lambda i: token(i, header={"kid": 1}),
    "a header that is not UTF-8": lambda i: ".".join([b64(b'{"alg":"RS256","kid":"\xff"}'), *token(i).split(".")[1:]]),
    "bytes that are no text": lambda i: "\udcff.\udcff.\udcff",
    "a critical extension": lambda i: token(i, header={"crit": ["b64"]}),
    "an unknown key": lambda i: token(i, header={"kid": "two"}),
    "a key that is too short": lambda i: token(i, SHORT, header={"kid": "short"}),
    "other claims under the signature": lambda i: ".".join(
        [token(i).split(".")[0], token(i, org="evil").split(".")[1], token(i).split(".")[2]]
    ),
    "two parts": lambda i: token(i).rpartition(".")[0],
    "no JSON": lambda i: f"{b64(b'hello')}.{b64(b'{}')}.{b64(b'x')}",
    "no base64": lambda i: "a.b.c",
    "not ASCII": lambda i: "ä.ö.ü",
    "nothing": lambda i: "",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token(issuer: Issuer, client: HttpClient, forge: Any) -> None:
    assert await verifier(issuer, client).caller(forge(issuer)) is None


@pytest.mark.parametrize(
    ("claim", "models"),
    [
        (["a", "b"], ("a", "b")),
        ("a b", ("a", "b")),
        ([], None),
        ("", None),
        (None, None),
        ({"a": 1}, None),
        ([""], None),
        (["a", ""], None),
        (["a", 1], None),
        ([None], None),
        ([["a"]], None),
        (True, None),
        (["a,b"], ("a,b",)),
    ],
)
async def test_the_models_that_a_token_allows(issuer: Issuer, client: HttpClient, claim: Any, models: Any) -> None:
    caller = await verifier(issuer, client, models_claim="models").caller(token(issuer, models=claim))
    assert (caller and caller.models) == models


async def test_a_new_key_is_found_but_not_asked_for_at_every_token(issuer: Issuer, client: HttpClient) -> None:
    clock = Clock()
    judge = verifier(issuer, client, clock)
    assert await judge.caller(token(issuer)) is not None
    issuer.keys.append(jwk(OTHER, "two"))
    new = token(issuer, OTHER, header={"kid": "two"})
    assert await judge.caller(new) is None, "unknown keys are asked for once a minute at most"
    clock.now += 61
    assert await judge.caller(new) is not None
    assert issuer.asked == 2
    issuer.keys = issuer.keys[3:]
    clock.now += 3_601
    assert await judge.caller(token(issuer, exp=clock.now + 60)) is None, "a key that is gone is forgotten within the hour"


async def test_an_issuer_that_cannot_be_read_is_an_error_and_no_verdict(issuer: Issuer, client: HttpClient) -> None:
    issuer.status = 500
    with pytest.raises(IssuerError, match="answered 500"):
        await verifier(issuer, client).caller(token(issuer))
    issuer.status, issuer.names = 200, "https://another.example.com"
    with pytest.raises(IssuerError, match=r"another\.example\.com"):
        await verifier(issuer, client).caller(token(issuer))
    good = token(issuer)
    issuer.url = "http://127.0.0.1:1"
    with pytest.raises(HttpError):
        await verifier(issuer, client).caller(good)


MALFORMED: list[Any] = [
    None,
    "one",
    [],
    {"kty": "RSA"},
    {"kty": "RSA", "kid": "x", "n": 7, "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "ä", "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "*", "e": "AQAB"},
    {"kty": "RSA", "kid": "x", "n": "", "e": ""},
    {"kty": "RSA", "kid": ["x"], "n": "AQAB", "e": "AQAB"},
    {**jwk(OTHER, "x"), "e": number(2**4096 + 1)},
    {**jwk(OTHER, "x"), "n": number(2**100_000 + 1)},
    {**jwk(OTHER, "x"), "e": number(65538)},
]


# By their place, for a key made at random would give each worker of the tests other names.
@pytest.mark.parametrize("malformed", MALFORMED, ids=range(len(MALFORMED)))
async def test_one_malformed_key_of_an_issuer_refuses_no_token(issuer: Issuer, client: HttpClient, malformed: Any) -> None:
    issuer.keys = [malformed, *issuer.keys, malformed]
    judge = verifier(issuer, client)
    assert await judge.caller(token(issuer)) is not None
    assert await judge.caller(token(issuer, OTHER, header={"kid": "x"})) is None


async def test_an_issuer_that_fails_is_asked_ever_less_often_and_its_keys_serve_on(issuer: Issuer, client: HttpClient) -> None:
    clock = Clock()
    judge = verifier(issuer, client, clock)
    assert await judge.caller(token(issuer)) is not None
    issuer.status, issuer.asked = 503, 0
    clock.now += 3_601
    later = {"exp": NOW + 10**6}
    for _ in range(600):  # ten minutes, with a known and an unknown key each second
        clock.now += 1
        assert await judge.caller(token(issuer, **later)) is not None
        with pytest.raises(IssuerError):
            await judge.caller(token(issuer, OTHER, header={"kid": "two"}, **later))
    assert 5 < issuer.asked < 20 and "answered 503" in WARNINGS[-1]
    issuer.status = 200
    clock.now += 61
    assert await judge.caller(token(issuer, OTHER, header={"kid": "two"}, **later)) is None, "now it is known to be nobody's"
    issuer.status = 503
    clock.now += 86_401
    with pytest.raises(IssuerError):  # the keys of yesterday may have been withdrawn
        await judge.caller(token(issuer, **later))


@pytest.mark.parametrize("address", ["http://id.example.com/keys", "file:///etc/passwd", "", "//id.example.com/keys"])
async def test_an_issuers_keys_come_over_https(issuer: Issuer, client: HttpClient, monkeypatch, address: str) -> None:
    judge = verifier(issuer, client)
    asked: list[str] = []

    async def get(url: str) -> dict[str, Any]:
        asked.append(url)
        return {"issuer": "https://id.example.com", "jwks_uri": address}

    monkeypatch.setattr(judge, "_issuer", "https://id.example.com")
    monkeypatch.setattr(judge, "_get", get)
    with pytest.raises(IssuerError, match="must begin with https"):
        await judge.caller(token(issuer))
    assert asked == ["https://id.example.com/.well-known/openid-configuration"]
