"""The addresses that a provider may be told to fetch."""

import pytest

from llm_functions.api_formats.media import is_address

TAKEN = [
    *("https://example.com/a.png", "https://my_bucket.s3.eu-central-1.amazonaws.com/a?b=c@d", "https://EXAMPLE.org:8443#x"),
    *("https://xn--bcher-kva.example./a", "https://a.co"),
]
REFUSED = [
    *("http://example.com/a", "file:///etc/passwd", "https://localhost/a", "https://169.254.169.254/latest", "https://[::1]/a"),
    *("https://0x7f000001/", "https://0x7f.1/", "https://127.1/", "https://a:b@10.0.0.5/x", "https://example.com:80@10.0.0.5/"),
    *(
        "https://kubernetes.default.svc/",
        "https://a.svc.cluster.local./",
        "https://metadata.google.internal/x",
        "https://a b.c/",
    ),
    *("https://example.com\\@10.0.0.5/", "https://", "https:///a", "https://１.１.com/", "https://a.localhost", ""),
]


@pytest.mark.parametrize("text", [*TAKEN, *REFUSED])
def test_an_address(text: str) -> None:
    assert is_address(text) == (text in TAKEN)
