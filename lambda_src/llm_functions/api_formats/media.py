"""What images and files must be in every format: an address in the internet, or base64. Nothing is fetched here."""

import re

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
# A host is a name with a dot whose last part is no number, so it is no IP address. Nobody's name and password precede it.
_ADDRESS = re.compile(
    r"https://(?:[\w-]{1,63}\.)+([a-z][a-z0-9-]{1,62})\.?(?::\d{1,5})?(?:[/?#]\S*)?", re.ASCII | re.IGNORECASE
)
# The ends of names that are of a private network only. https://www.iana.org/assignments/special-use-domain-names, RFC 6762
# appendix G, and Kubernetes' services.
_PRIVATE = frozenset(
    ("local", "localhost", "localdomain", "internal", "svc", "lan", "home", "corp", "intranet", "private", "arpa")
)

# The address, for errors.
ADDRESS = "https://… with a public name"


def is_address(text: str) -> bool:
    """Whether a provider may be told to fetch a text.

    A model server in a private network would fetch what only it can reach, such as its host's credentials. A name may lead
    there nevertheless, so such a server needs an allow list of its own.
    """
    found = _ADDRESS.fullmatch(text)
    return found is not None and found[1].lower() not in _PRIVATE


def is_base64(text: str) -> bool:
    return len(text) % 4 == 0 and _BASE64.fullmatch(text) is not None
