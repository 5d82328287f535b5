"""The ways in which a call of the HTTP client fails, one exception each: whether a retry helps depends on the way."""


class HttpError(Exception):
    """A call failed. The text is one line with the origin in it; it holds no header value and no query."""


class ConnectError(HttpError):
    """The connection was refused or reset, or the host name could not be resolved."""


class ConnectTimeout(HttpError):
    """There was no connection, with its TLS handshake, within `connect_timeout`."""


class TlsError(HttpError):
    """The handshake failed or the certificate is not trusted."""


class ResponseTimeout(HttpError):
    """The head of the response did not come within `response_timeout`."""


class ReadTimeout(HttpError):
    """No part of the body came within `read_timeout`."""


class ConnectionCut(HttpError):
    """The connection was closed before the end of the head or of the body."""


class MalformedResponse(HttpError):
    """The response is not HTTP, or it is larger than a limit."""


def one_line(error: Exception) -> str:
    """The text of an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__
