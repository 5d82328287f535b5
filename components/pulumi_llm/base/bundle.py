"""lambda_src made into what is deployed: one archive for all functions.

A bundle has a target. `lambda` is a zip for Lambda (arm64, the runtime's own Python): the locked dependencies, the sources and
their bytecode, the same bytes from the same sources whoever builds it. `host` is a folder for the machine at hand, which the
local run starts. The wheel carries the finished `lambda` zip; a checkout builds either with uv, once, into the user's cache.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pulumi

from llm_gateway.routes import ROUTES_FILE, Routes, encode

Target = Literal["lambda", "host"]

# The functions' runtime. The bytecode in the bundle is of this minor version.
PYTHON = "3.13"
RUNTIME = f"python{PYTHON}"
# Set to "host" where the program is evaluated for the machine at hand.
TARGET_VARIABLE = "PULUMI_LLM_BUNDLE"

_SOURCES = ("llm_gateway", "llm_functions")
# The handler of a function behind the Web Adapter. exec: the adapter's signals reach Python itself.
RUN_SCRIPT = "run.sh"
# Modules live as long as the process, so collecting garbage while they are imported finds none: it took 8 % of a start.
_RUN_SCRIPT_TEXT = """#!/bin/sh
exec python3 -c 'import gc; gc.disable(); from llm_functions.http.__main__ import main; main()'
"""
# What is left out of the dependencies, as patterns: what no function can import or read. A test of the bundle follows
# every import from the sources, lazy ones included, and fails where one leads here.
_LEFT_OUT = (
    "bin",
    # uvicorn speaks HTTP/1.1 by httptools, without WebSocket.
    *("h11", "uvicorn/protocols/http/*h11*", "uvicorn/protocols/http/*zttp*", "uvicorn/protocols/websockets/*_impl.py"),
    # Its command line and what it runs processes with.
    *("click", "uvicorn/main.py", "uvicorn/__main__.py", "uvicorn/supervisors"),
    # Installers' records, and what compilers and type checkers read.
    *(f"**/*{suffix}" for suffix in (".dist-info", "__pycache__", ".c", ".h", ".pxd", ".pyx", ".pyi", "py.typed")),
)
# What files have in place of their own text. uvicorn's imports its command line: a seventh of the CPU time of a start.
_REPLACED = {"uvicorn/__init__.py": "from uvicorn.config import Config as Config\n"}
# Zip can't tell times before 1980; every entry has this one.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class BundleError(Exception):
    """The bundle cannot be built; the text says what is missing and how to get it."""


def archive(routes: Routes | None = None) -> pulumi.Archive:
    """The archive of a function: the bundle, with the routes document where the function reads it."""
    target: Target = "host" if os.environ.get(TARGET_VARIABLE) == "host" else "lambda"
    base = build(target)
    return pulumi.FileArchive(str(base if routes is None else with_routes(base, target, routes)))


def build(target: Target) -> Path:
    """The bundle without a routes document: a zip for `lambda`, a folder for `host`. Raises `BundleError`.

    Built once for the same sources, lock and Python.
    """
    shipped = Path(__file__).with_name("lambda.zip")
    if target == "lambda" and shipped.exists():
        return shipped
    # The interpreter is looked for only where something has to be built, for that takes half a second. A bundle for Lambda
    # is of a minor version, whichever interpreter of it compiled it.
    python = PYTHON if target == "lambda" else _python(target)
    chosen = [_lock().read_bytes(), python.encode(), repr((_LEFT_OUT, _REPLACED)).encode()]
    dependencies = _cached(f"dependencies-{target}", chosen, lambda to: _install(to, target, python))
    contents = [path.read_bytes() for _, path in _source_files()]
    key = [*chosen, Path(__file__).read_bytes(), *contents]
    if target == "host":
        return _cached("host", key, lambda to: _host(to, dependencies, python))
    return _cached("lambda", key, lambda to: _zip(to, dependencies, _python(target)), suffix=".zip")


def with_routes(base: Path, target: Target, routes: Routes) -> Path:
    """The bundle with a routes document added."""
    document = encode(routes)
    if target == "host":

        def link(to: Path) -> None:
            shutil.copytree(base, to, copy_function=_link)
            (to / ROUTES_FILE).write_bytes(document)

        return _cached("host-deployed", [str(base).encode(), document], link)

    def add(to: Path) -> None:
        shutil.copyfile(base, to)
        with zipfile.ZipFile(to, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
            _add(zipped, ROUTES_FILE, document, executable=False)

    return _cached("lambda-deployed", [hashlib.sha256(base.read_bytes()).digest(), document], add, suffix=".zip")


def _cached(name: str, key: list[bytes], make: Callable[[Path], None], suffix: str = "") -> Path:
    """What `make` made for `key`, from the cache where it is there. Half-made things never are."""
    digest = hashlib.sha256()
    for part in key:
        digest.update(len(part).to_bytes(8, "big") + part)
    folder = cache_folder() / "bundle"
    path = folder / f"{name}-{digest.hexdigest()[:20]}{suffix}"
    if path.exists():
        os.utime(path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as making:
        made = Path(making) / path.name
        make(made)
        try:
            made.rename(path)
        except OSError:  # another process was first
            if not path.exists():
                raise
    os.utime(path)
    _prune(folder)
    return path


# Every edit of a source makes another bundle. One that nobody has asked for in this time is forgotten.
_KEPT_SECONDS = 7 * 86_400


def _prune(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process was first
            if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def cache_folder() -> Path:
    """Where built things are kept: ``$PULUMI_LLM_CACHE``, else ``$XDG_CACHE_HOME/pulumi-llm``, else ``~/.cache/pulumi-llm``."""
    if own := os.environ.get("PULUMI_LLM_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pulumi-llm"


# The parts.


def _lock() -> Path:
    """The lock of the functions' dependencies: beside this module in a wheel, in requirements/ in a checkout."""
    here = Path(__file__).resolve()
    for path in (here.with_name("lambda.txt"), here.parents[3] / "requirements" / "lambda.txt"):
        if path.exists():
            return path
    raise BundleError("the lock of the functions' dependencies (lambda.txt) is missing from this installation")


def _source_files() -> Iterator[tuple[str, Path]]:
    """Every source file with its place in the bundle, in a fixed order; found where Python would import it from."""
    for package in _SOURCES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise BundleError(f"the package {package} is missing from this installation")
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(root.rglob("*.py")):
            yield f"{package}/{path.relative_to(root).as_posix()}", path


def _python(target: Target) -> str:
    """The Python that compiles or runs the bundle."""
    if target == "host":
        return host_python()
    found = subprocess.run(
        [_uv(), "python", "find", "--no-python-downloads", "--system", PYTHON], capture_output=True, text=True, check=False
    )
    if found.returncode == 0:
        return found.stdout.strip()
    # pyenv's shims answer only for the version that is switched on, so uv does not see the others.
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for python in sorted(pyenv.glob(f"{PYTHON}.*/bin/python{PYTHON}")):
        return str(python)
    raise BundleError(
        f"Python {PYTHON} is needed to compile the functions for Lambda's runtime {RUNTIME}, and none is on this machine; "
        f"install it (uv python install {PYTHON}, pyenv install {PYTHON}, or your system's package). "
        "The local run (pulumi-llm local) works without it."
    )


def host_python() -> str:
    """The interpreter below any virtual environment: a function sees its bundle, not the developer's packages."""
    return str(Path(sys.base_prefix) / "bin" / "python3") if sys.platform != "win32" else sys.executable


def _uv() -> str:
    try:
        import uv
    except ModuleNotFoundError:
        raise BundleError("uv is needed to build the functions' bundle: pip install 'pulumi-llm[local]'") from None
    return uv.find_uv_bin()


def _install(to: Path, target: Target, python: str) -> None:
    """The locked dependencies, and nothing that a function does not read."""
    command = [_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    # By its default uv links files to its cache: what is done to one of them would be done to every environment on the machine.
    command += ["--link-mode", "copy", "--no-compile-bytecode", "--target", str(to), "--requirements", str(_lock())]
    if target == "lambda":
        command += ["--python-platform", "aarch64-manylinux2014", "--python-version", PYTHON]
    else:
        command += ["--python", python]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundleError(f"the functions' dependencies cannot be installed:\n{done.stderr.strip()}")
    for pattern in _LEFT_OUT:
        for path in list(to.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in _REPLACED.items():
        (to / name).write_text(text)
    (to / ".lock").unlink(missing_ok=True)


def _assemble(to: Path, dependencies: Path) -> None:
    shutil.copytree(dependencies, to, copy_function=_link)
    for name, path in _source_files():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / name)
    script = to / RUN_SCRIPT
    script.write_text(_RUN_SCRIPT_TEXT)
    script.chmod(0o755)


def _host(to: Path, dependencies: Path, python: str) -> None:
    """With bytecode, so that a function which runs in the folder writes nothing into it: its hash stays."""
    _assemble(to, dependencies)
    _compile(python, to)


def _compile(python: str, root: Path) -> None:
    # Hash-based, unchecked bytecode holds no time, and with the prefix replaced no path of this machine.
    # An absolute path, -s and -p: docs.python.org/3/library/compileall.html
    command = [python, "-m", "compileall", "-q", "-f", "-s", str(root), "-p", "/var/task"]
    command += ["--invalidation-mode", "unchecked-hash", str(root)]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise BundleError(f"{python} cannot compile the functions:\n{(done.stdout + done.stderr).strip()}")


def _zip(to: Path, dependencies: Path, python: str) -> None:
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        root = (Path(folder) / "bundle").resolve()
        _assemble(root, dependencies)
        _compile(python, root)
        with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                name = path.relative_to(root).as_posix()
                _add(zipped, name, path.read_bytes(), executable=name == RUN_SCRIPT)


def _add(zipped: zipfile.ZipFile, name: str, content: bytes, *, executable: bool) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3
    entry.external_attr = (0o755 if executable else 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    zipped.writestr(entry, content)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def main() -> None:
    """Build the `lambda` bundle and tell where it is (make bundle)."""
    path = build("lambda")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sys.stdout.write(f"{path}\n{path.stat().st_size / 1e6:.2f} MB, sha256 {digest}\n")
