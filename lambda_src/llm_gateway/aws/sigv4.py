"""AWS Signature Version 4 in the ``authorization`` header, for a request whose body is at hand.

It is part of the hot path and of every function's cold start; importing botocore's signer takes tens of milliseconds.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html describes the
signature; where that page is not precise, this does what botocore does.
"""

import hashlib
import hmac
import time
from collections.abc import Sequence
from urllib.parse import quote

CACHED_PATHS = 256

# Headers that a proxy may add, change or remove, as in botocore.
_UNSIGNED = frozenset(
    (
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    )
)
_OURS = frozenset(("authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"))


class Signer:
    """Signs requests to one service in one Region with one set of credentials.

    `service` is the service's name in the signature, which may differ from the host's: Bedrock's runtime signs as
    ``bedrock``. For ``s3`` the path is signed as it is sent, and the payload's hash is a header. Raises `ValueError`. No text
    of an error and no `repr` holds a credential.
    """

    def __init__(self, access_key: str, secret_key: str, session_token: str | None, region: str, service: str) -> None:
        given = {"access_key": access_key, "secret_key": secret_key, "region": region, "service": service}
        if session_token:
            given["session_token"] = session_token
        for name, value in given.items():
            if not _visible(value):
                raise ValueError(f"{name}: it must be visible ASCII characters, at least one, without a space")
        self._access_key = access_key
        self._secret = b"AWS4" + secret_key.encode()
        self._token = session_token
        self._region = region
        self._service = service
        self._is_s3 = service == "s3"
        self._day = ""
        self._scope = ""
        self._credential = ""
        self._key = b""
        self._paths: dict[str, str] = {}

    def sign(
        self,
        method: str,
        host: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        now: float,
        query: str = "",
    ) -> list[tuple[str, str]]:
        """Return the headers that sign a request: ``x-amz-date``, ``x-amz-security-token`` and ``authorization``, and for S3
        ``x-amz-content-sha256``.

        Send the request exactly as it is given here, with `host` as its Host header.

        Args:
            host: The host, with the port if it is not the default one.
            path: The path as it is sent, percent-encoded, without a query.
            query: The query as it is sent, with its parameters in order and all but unreserved characters percent-encoded.
            now: Seconds since the epoch. AWS refuses a signature that differs by some minutes from its own clock.

        Raises:
            ValueError: The path or a header cannot be signed.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        if stamp[:8] != self._day:
            self._derive_key(stamp[:8])
        payload = hashlib.sha256(body).hexdigest()
        added = [("x-amz-date", stamp)]
        if self._is_s3:
            added.append(("x-amz-content-sha256", payload))
        if self._token:
            added.append(("x-amz-security-token", self._token))
        signed = dict(added)
        signed["host"] = host
        for name, value in headers:
            key = name.lower()
            if key in _UNSIGNED:
                continue
            if key in _OURS:
                raise ValueError(f"{key}: the signer and the HTTP client set it; leave it out")
            text = " ".join(value.split())
            signed[key] = f"{signed[key]},{text}" if key in signed else text
        names = sorted(signed)
        canonical_headers = "\n".join([f"{name}:{signed[name]}" for name in names])
        signed_names = ";".join(names)
        canonical_path = self._paths.get(path) or self._canonical_path(path)
        canonical = f"{method}\n{canonical_path}\n{query}\n{canonical_headers}\n\n{signed_names}\n{payload}"
        try:
            digest = hashlib.sha256(canonical.encode()).hexdigest()
        except UnicodeEncodeError:  # the exception holds the text, which holds the session token
            raise ValueError("a header has a lone surrogate in it; send text that UTF-8 can encode") from None
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        added.append(("authorization", f"{self._credential}{signed_names}, Signature={signature}"))
        return added

    def presign(self, host: str, path: str, query: Sequence[tuple[str, str]], seconds: int, now: float) -> str:
        """Return the query of a GET request that anybody may send for so many seconds, as `Signer.sign` has its arguments.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        if stamp[:8] != self._day:
            self._derive_key(stamp[:8])
        parameters = [
            *query,
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{self._access_key}/{self._scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
            *([("X-Amz-Security-Token", self._token)] if self._token else []),
        ]
        encoded = "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters))
        canonical = f"GET\n{self._canonical_path(path)}\n{encoded}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{self._scope}\n{digest}"
        return f"{encoded}&X-Amz-Signature={hmac.digest(self._key, to_sign.encode(), 'sha256').hex()}"

    def _derive_key(self, day: str) -> None:
        """Derive the signing key of a day (``YYYYMMDD``, in UTC). It is the same for every request of that day."""
        key = self._secret
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key
        self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
        self._credential = f"AWS4-HMAC-SHA256 Credential={self._access_key}/{self._scope}, SignedHeaders="
        self._day = day

    def _canonical_path(self, path: str) -> str:
        """Return the canonical path: without empty and dot segments, and encoded once more than in the request. For S3 it is
        the request's.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        """
        if not path.startswith("/") or not _visible(path) or "?" in path or "#" in path:
            raise ValueError("path: it must start with / and be percent-encoded, without a query or a fragment")
        if self._is_s3:
            return path
        canonical = quote(_normalized(path), safe="/")
        if len(self._paths) >= CACHED_PATHS:
            self._paths.clear()
        self._paths[path] = canonical
        return canonical


def _visible(text: str) -> bool:
    """Whether a text is not empty and holds only visible ASCII characters."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _normalized(path: str) -> str:
    """Return `path` as the services see it. https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4, and // as /."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    if not segments:
        return "/"
    return f"/{'/'.join(segments)}{'/' if path.endswith('/') else ''}"
