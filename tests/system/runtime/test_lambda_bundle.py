"""The zip for Lambda, which is for arm64 and cannot run here: what its native code needs, and what its bytecode holds."""

import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_llm.base import bundle

# Amazon Linux 2023, below the runtime python3.13, has glibc 2.34: https://docs.aws.amazon.com/linux/al2023/ug/glibc-gcc-and-binutils.html
GLIBC = (2, 34)
# The libraries of glibc, which every process has.
LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-aarch64.so.1"}
EM_AARCH64 = 183
# Lambda's bound on the unpacked archive and its layers: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNPACKED_BYTES = 250 * 1024 * 1024


@pytest.fixture(scope="session")
def archive() -> Path:
    try:
        return bundle.build("lambda")
    except bundle.BundleError as error:
        if f"Python {bundle.PYTHON} is needed" in str(error):
            pytest.skip(f"no Python {bundle.PYTHON} here to compile the functions with: uv python install {bundle.PYTHON}")
        raise


@pytest.fixture
def zipped(archive: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(archive) as opened:
        yield opened


def native(zipped: zipfile.ZipFile) -> dict[str, "Elf"]:
    return {name: Elf(zipped.read(name)) for name in zipped.namelist() if re.search(r"\.so(\.|$)", name)}


class Elf:
    """A 64-bit little-endian ELF file: https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic.html"""

    def __init__(self, content: bytes) -> None:
        assert content[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF file"
        self._content = content
        (self.machine,) = struct.unpack_from("<H", content, 18)
        (table,) = struct.unpack_from("<Q", content, 40)
        size, count = struct.unpack_from("<HH", content, 58)
        # type, offset, size, link
        self._sections = [
            (kind, offset, length, link)
            for kind, offset, length, link in (
                (fields[1], fields[4], fields[5], fields[6])
                for fields in (struct.unpack_from("<IIQQQQIIQQ", content, table + size * each) for each in range(count))
            )
        ]

    def libraries(self) -> set[str]:
        """DT_NEEDED."""
        found: set[str] = set()
        for kind, offset, length, link in self._sections:
            if kind == 6:  # SHT_DYNAMIC
                for tag, value in struct.iter_unpack("<qQ", self._content[offset : offset + length]):
                    if tag == 1:
                        found.add(self._string(link, value))
        return found

    def versions(self) -> set[str]:
        """The symbol versions that it needs of other libraries."""
        found: set[str] = set()
        for kind, start, _, link in self._sections:
            at, after = start, kind == 0x6FFFFFFE  # SHT_GNU_verneed
            while after:
                _, count, _, first, after = struct.unpack_from("<HHIII", self._content, at)
                entry = at + first
                for _ in range(count):
                    _, _, _, name, step = struct.unpack_from("<IHHII", self._content, entry)
                    found.add(self._string(link, name))
                    entry += step
                at += after
        return found

    def _string(self, section: int, at: int) -> str:
        start = self._sections[section][1] + at
        return self._content[start : self._content.index(b"\0", start)].decode()


def test_native_code_runs_on_the_runtimes_system(zipped: zipfile.ZipFile) -> None:
    files = native(zipped)
    assert files
    for name, elf in files.items():
        assert elf.machine == EM_AARCH64, name
        assert elf.libraries() <= LIBRARIES, f"{name} needs {elf.libraries() - LIBRARIES}"
        assert "libc.so.6" in elf.libraries(), name
        assert elf.versions(), name
        for version in elf.versions():
            number = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", version)
            assert number is not None, f"{name} needs {version}"
            assert (int(number[1]), int(number[2])) <= GLIBC, f"{name} needs {version}"


def test_native_modules_are_for_the_runtimes_python(zipped: zipfile.ZipFile) -> None:
    minor = bundle.PYTHON.replace(".", "")
    for name in native(zipped):
        tag = re.search(r"\.(cpython-\d+|abi3)\b.*\.so$", name)
        assert tag is not None and tag[1] in (f"cpython-{minor}", "abi3"), name


def test_this_machines_own_file_is_read_right() -> None:
    """The parser is held against a file that says what it is."""
    python = Path(bundle._python("host")).resolve()
    if not python.read_bytes().startswith(b"\x7fELF\x02\x01"):
        pytest.skip(f"this machine's Python is no 64-bit ELF file: {sys.platform}")
    elf = Elf(python.read_bytes())
    assert elf.machine in (EM_AARCH64, 62)
    assert any(version.startswith("GLIBC_2.") for version in elf.versions()) == ("libc.so.6" in elf.libraries())


def test_it_fits(zipped: zipfile.ZipFile) -> None:
    assert sum(entry.file_size for entry in zipped.infolist()) < UNPACKED_BYTES


# Run by the runtime's own Python version, whose bytecode it is.
CHECK = """
import importlib.util, marshal, sys, types, zipfile
from _imp import source_hash

def files(code):
    yield code.co_filename
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from files(each)

checked = 0
with zipfile.ZipFile(sys.argv[1]) as opened:
    names = set(opened.namelist())
    for name in sorted(names):
        if not name.endswith(".pyc"):
            continue
        content = opened.read(name)
        folder, _, file = name.rpartition("__pycache__/")
        source = folder + file.removesuffix(f".{sys.implementation.cache_tag}.pyc") + ".py"
        assert source in names, f"{name}: no source beside it"
        assert content[:4] == importlib.util.MAGIC_NUMBER, f"{name}: of another Python"
        assert content[4:8] == (1).to_bytes(4, "little"), f"{name}: not hash-based and unchecked"
        raw = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
        assert content[8:16] == source_hash(raw, opened.read(source)), f"{name}: of another source"
        code = marshal.loads(content[16:])
        assert set(files(code)) == {f"/var/task/{source}"}, f"{name}: {set(files(code))}"
        checked += 1
print(checked)
"""


def test_bytecode_is_of_its_sources_in_the_place_where_they_will_lie(archive: Path, zipped: zipfile.ZipFile) -> None:
    try:
        python = bundle._python("lambda")
    except bundle.BundleError as error:
        pytest.skip(str(error))
    command = [python, "-I", "-S", "-c", CHECK, str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(name.endswith(".py") for name in zipped.namelist()) > 100


def test_no_bytecode_tells_where_it_was_compiled(zipped: zipfile.ZipFile) -> None:
    places = [str(place).encode() for place in (bundle.cache_folder(), Path.cwd(), Path.home()) if len(place.parts) > 1]
    for name in zipped.namelist():
        if name.endswith(".pyc"):
            content = zipped.read(name)
            assert not any(place + b"/" in content for place in places), name
