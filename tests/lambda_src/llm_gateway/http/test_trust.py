"""Whom a client trusts: the machine's authorities, from a folder where each is found by its hash, else from the file."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_gateway.http import trust
from llm_gateway.http.client import TlsError
from support.http_server import forever, serving
from support.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)


@pytest.fixture
def machine(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose file of authorities has the server's and another, and whose folder has both by their hash."""
    folder = tmp_path / "machine"
    (folder / "hashed").mkdir(parents=True)
    pems = [(tmp_path / "authority" / f"127.0.0.{number}.pem").read_text() for number in (1, 2)]
    (folder / "bundle.pem").write_text("".join(pems))
    for number, pem in enumerate(pems):
        (folder / "hashed" / f"{number}.pem").write_text(pem)
    subprocess.run(["openssl", "rehash", str(folder / "hashed")], check=True, capture_output=True)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    default = ssl.get_default_verify_paths()
    paths = default._replace(cafile=str(folder / "bundle.pem"), capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(trust, "FOLDERS", (str(folder / "hashed"),))
    return folder


@pytest.mark.assumes("hashed-authorities")
async def test_an_authority_is_read_when_it_is_needed(machine: Path, authority: Authority) -> None:
    context = trust.client_context()
    assert context.get_ca_certs() == []
    async with serving(forever, authority.server, ssl_context=context) as (server, client):
        await client.send("GET", server.url, [], b"", response_timeout=5)
    assert [dict(entry[0] for entry in found["subject"]) for found in context.get_ca_certs()] == [{"commonName": "127.0.0.1"}]


async def test_whom_the_folder_does_not_name_is_refused(machine: Path, tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    stranger = Authority(tmp_path / "stranger")
    async with serving(forever, stranger.server, ssl_context=trust.client_context()) as (server, client):
        with pytest.raises(TlsError, match="certificate verify failed"):
            await client.send("GET", server.url, [], b"")


def remove_one(machine: Path) -> None:
    next((machine / "hashed").glob("*.0")).unlink()


def remove_all(machine: Path) -> None:
    for path in (machine / "hashed").iterdir():
        path.unlink()
    (machine / "hashed").rmdir()


@pytest.mark.parametrize(
    ("change", "variable"),
    [(remove_one, ""), (remove_all, ""), (lambda _: None, "SSL_CERT_FILE"), (lambda _: None, "SSL_CERT_DIR")],
    ids=["a folder that lacks one", "no folder", "a file of one's own", "a folder of one's own"],
)
def test_else_all_are_read_as_python_reads_them(
    machine: Path, change: Callable[[Path], None], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(machine)
    if variable:
        monkeypatch.setenv(variable, str(machine / "bundle.pem"))
    read: list[ssl.SSLContext] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self, *_: read.append(self))
    assert read == [trust.client_context()]


def test_a_context_checks_as_pythons_own_does() -> None:
    ours, default = trust.client_context(), ssl.create_default_context()
    for name in ("verify_mode", "check_hostname", "verify_flags", "options", "minimum_version"):
        assert getattr(ours, name) == getattr(default, name)
