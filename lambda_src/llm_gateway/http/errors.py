"""How a call of the HTTP client fails: one exception for each way, so that a caller can tell what a retry is worth."""


class HttpError(Exception):
    """A call that failed. The text is one line with the origin in it, and neither a header's value nor the query."""


class ConnectError(HttpError):
    """No connection: refused, reset while connecting, or the name could not be resolved."""


class ConnectTimeout(HttpError):
    """No connection, the TLS handshake included, within `connect_timeout`."""


class TlsError(HttpError):
    """The handshake failed or the certificate is not to be trusted."""


class ResponseTimeout(HttpError):
    """No response head within `response_timeout`."""


class ReadTimeout(HttpError):
    """The body stood still for `read_timeout` while somebody waited for it."""


class ConnectionCut(HttpError):
    """The connection was closed before the end of the head or of the body."""


class MalformedResponse(HttpError):
    """What came is not HTTP, or it is larger than a limit."""


def one_line(error: Exception) -> str:
    """An error's own words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
