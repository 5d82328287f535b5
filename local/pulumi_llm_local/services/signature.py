"""Whether a request to the local Bedrock, or to an API that asks for it, is signed as AWS wants it (Signature Version 4)."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import web


@dataclass(frozen=True)
class Credentials:
    """The keys with which a caller signs."""

    access_key: str
    secret_key: str


class SignatureError(Exception):
    """AWS refuses the request's signature, with status 403."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def verify_signature(
    request: web.Request, body: bytes, region: str, credentials: Credentials, service: str = "bedrock"
) -> None:
    """Check that these credentials signed the request for this service and Region within the last 15 minutes.

    Raises `SignatureError` with the code and the message that AWS gives.
    """
    authorization = request.headers.get("Authorization", "")
    if not authorization.startswith(_ALGORITHM):
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = _AUTHORIZATION.fullmatch(authorization)
    timestamp = request.headers.get("X-Amz-Date", "")
    signed_at = _signing_time(timestamp)
    if scope is None or signed_at is None:
        raise SignatureError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters, and the request an "
            f"'X-Amz-Date' header. Authorization={authorization.partition('Signature=')[0]}",
        )
    if scope["key"] != credentials.access_key:
        message = "The security token included in the request is invalid."
        raise SignatureError("UnrecognizedClientException", message)
    if scope["service"] != service:
        raise _invalid_signature(f"Credential should be scoped to correct service: '{service}'.")
    if scope["region"] != region:
        raise _invalid_signature(f"Credential should be scoped to a valid region, not '{scope['region']}'.")
    now = datetime.now(UTC)
    if abs(now - signed_at) > _CLOCK_SKEW or scope["date"] != timestamp[:8]:
        what = "Signature expired" if signed_at < now else "Signature not yet current"
        raise _invalid_signature(f"{what}: {timestamp} is not within 15 min. of {now:%Y%m%dT%H%M%SZ}")
    signed_headers = scope["headers"].split(";")
    required = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-amz-"))}
    for name in sorted(required - set(signed_headers)):
        raise _invalid_signature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    if not hmac.compare_digest(scope["signature"], _signature(request, body, region, service, credentials, signed_headers)):
        raise _invalid_signature(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
            "Key and signing method. Consult the service documentation for details."
        )
    payload_hash = request.headers.get("X-Amz-Content-SHA256")
    if payload_hash not in (None, hashlib.sha256(body).hexdigest()):
        raise _invalid_signature("The value of x-amz-content-sha256 is not the SHA-256 of the request's body.")


_ALGORITHM = "AWS4-HMAC-SHA256"
_CLOCK_SKEW = timedelta(minutes=15)
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def _invalid_signature(message: str) -> SignatureError:
    return SignatureError("InvalidSignatureException", message)


def _signing_time(timestamp: str) -> datetime | None:
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _signature(
    request: web.Request, body: bytes, region: str, service: str, credentials: Credentials, signed_headers: Sequence[str]
) -> str:
    """What botocore's own signer makes of the request as it arrived, its path as it stood on the wire."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.compat import HTTPHeaders
    from botocore.credentials import Credentials as Keys

    headers = HTTPHeaders()
    for name in signed_headers:
        for value in request.headers.getall(name, []):
            headers[name] = value

    class Auth(SigV4Auth):
        def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
            return headers  # a client may sign others than botocore would

    auth = Auth(Keys(credentials.access_key, credentials.secret_key), service, region)
    unsigned = AWSRequest(request.method, f"http://host{request.raw_path}", data=body)
    unsigned.context["timestamp"] = request.headers["X-Amz-Date"]
    return auth.signature(auth.string_to_sign(unsigned, auth.canonical_request(unsigned)), unsigned)
