"""The TLS context of a client: the machine's certificate authorities, each read when a server's certificate needs it.

``ssl.create_default_context()`` reads all of them from one file, some 140. OpenSSL 3 takes 28 ms of CPU for that
(https://github.com/python/cpython/issues/95031), a quarter of a cold start. Systems also keep them in a folder, one file each,
by the hash of the authority's name, where OpenSSL reads the one that it looks for.
"""

import os
import re
import ssl

# Beside OpenSSL's own. Amazon Linux's and Fedora's: https://www.mankier.com/8/update-ca-trust
FOLDERS = ("/etc/pki/ca-trust/extracted/pem/directory-hash",)
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def client_context() -> ssl.SSLContext:
    """Return a context that trusts whom ``ssl.create_default_context()`` trusts."""
    return ssl.create_default_context(capath=_folder())


def _folder() -> str | None:
    """The folder that holds every authority of the file. None where there is none, or where the environment names others."""
    paths = ssl.get_default_verify_paths()
    if not paths.cafile or paths.openssl_cafile_env in os.environ or paths.openssl_capath_env in os.environ:
        return None
    with open(paths.cafile, "rb") as file:  # noqa: PTH123 - a start needs no pathlib
        count = file.read().count(_BEGIN)
    for folder in (paths.capath, *FOLDERS):
        try:
            names = os.listdir(folder) if folder else []  # noqa: PTH208
        except OSError:
            continue
        if sum(_HASHED.fullmatch(name) is not None for name in names) >= count:
            return folder
    return None
