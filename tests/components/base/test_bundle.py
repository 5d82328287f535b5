"""The bundle: what is in it, the same bytes from the same sources, and nothing half-made."""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import pulumi
import pytest

from llm_gateway.routes import ROUTES_FILE, Alias, Routes, Target, load
from pulumi_llm.base import bundle
from pulumi_llm.base.bundle import BundleError
from support.programs import ROOT

EM_AARCH64 = 183  # the ELF header's machine, https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html


def routes(*names: str) -> Routes:
    def target(name: str) -> Target:
        return Target(name=name, provider="bedrock", model=name, max_output_tokens=1, context_tokens=2, accepts=("max_tokens",))

    return Routes(aliases=tuple(Alias(name=name, targets=(target(name),)) for name in names))


def sources() -> set[str]:
    """Every source file's place in the bundle."""
    root = ROOT / "lambda_src"
    return {path.relative_to(root).as_posix() for path in root.rglob("*.py")}


def packages() -> set[str]:
    """What the lock names and a function imports, as it is imported."""
    lines = (ROOT / "requirements" / "lambda.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in lines if "==" in line and not line.startswith(("#", " "))}
    imported = {{"python-dateutil": "dateutil", "six": "six.py"}.get(name, name.replace("-", "_")) for name in names}
    return imported - {"h11", "click"}  # required by uvicorn, and used by no part of it that is kept


# For this machine.


@pytest.fixture(scope="module")
def host() -> Path:
    return bundle.build("host")


def test_the_host_bundle_is_what_a_function_needs(host: Path) -> None:
    names = {path.relative_to(host).as_posix() for path in host.rglob("*") if path.is_file()}
    assert packages() <= {path.name for path in host.iterdir()}
    assert sources() <= names
    assert ROUTES_FILE not in names, "each function's own is added"
    unneeded = ("h11/", "click/", "bin/")
    assert [name for name in names if name.startswith(unneeded) or ".dist-info/" in name] == []
    script = host / "run.sh"
    assert script.stat().st_mode & 0o777 == 0o755
    assert script.read_text().startswith("#!/bin/sh\n")


def test_the_host_bundle_stands_alone(host: Path) -> None:
    """A function is imported from it with nothing else on the path."""
    python = bundle._python("host")
    code = "import llm_functions.http, msgspec, httptools, uvicorn; print(llm_functions.http.__file__)"
    environment = {"PYTHONPATH": str(host), "PATH": os.environ["PATH"]}
    done = subprocess.run([python, "-S", "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(host / "llm_functions" / "http" / "__init__.py")


# What is left out of it.


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host bundle with nothing left out."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bundle, "_LEFT_OUT", ())
        patched.setenv("PULUMI_LLM_CACHE", str(tmp_path_factory.mktemp("whole")))
        return bundle.build("host")


@pytest.fixture(scope="module")
def reached(host: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every module that a function can come to import, with its place in the bundle.

    The imports, lazy ones too, are followed through all packages from our sources and from what uvicorn looks up by its name
    when it is configured as `main` does.
    """
    folder = (tmp_path_factory.mktemp("reached") / "bundle").resolve()
    shutil.copytree(whole, folder)
    for path in folder.rglob("*.py"):
        path.write_text(re.sub(r"\bif (typing\.)?TYPE_CHECKING:", "if 0:", path.read_text()))  # the compiler drops it
    code = """if True:
        import uvicorn.server
        async def serve(server):
            server.config.load(), server.config.get_loop_factory()
        uvicorn.server.Server.serve = serve
        import llm_functions.http.__main__
        llm_functions.http.__main__.main()
        print(*sys.modules)
    """
    ours = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources()]
    finder = ModuleFinder([str(folder)])
    for name in {*ours, *in_bundle(host, code).split()}:
        with contextlib.suppress(ImportError):  # the standard library's
            finder.import_hook(name)
    return {name: Path(module.__file__).relative_to(folder) for name, module in finder.modules.items() if module.__file__}


def in_bundle(host: Path, code: str) -> str:
    """What `code` prints in an interpreter that has the bundle and nothing else."""
    environment = {
        **{"LAMBDA_TASK_ROOT": str(bundle.with_routes(host, "host", routes("a"))), "AUTHORIZATION": "none"},
        **{"CORS_ALLOW_ORIGIN": "*", "KEYS_TABLE": "keys"},
        **{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"},
    }
    command = [bundle._python("host"), "-S", "-I", "-c", f"import sys; sys.path.insert(0, {str(host)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_function_that_runs_in_the_host_bundle_leaves_it_as_it_was(host: Path, tmp_path: Path) -> None:
    """Its hash is the function's version: bytecode that is written later would look like a change of the code."""
    copy = shutil.copytree(host, tmp_path / "bundle")
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    command = [bundle.host_python(), "-c", "import httptools, llm_functions.http, llm_gateway.aws.dynamodb"]
    subprocess.run(command, cwd=copy, env={"PATH": os.environ["PATH"]}, check=True)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_nothing_that_a_function_can_import_is_left_out(host: Path, reached: dict[str, Path]) -> None:
    names = {"llm_gateway.aws.client", "llm_gateway.providers.anthropic.dialect", "httptools.parser.parser", "uvicorn.server"}
    assert names | {"uvicorn.protocols.http.httptools_impl", "uvicorn.loops.asyncio"} <= reached.keys()
    assert [name for name, path in reached.items() if not (host / path).exists()] == []


def test_each_of_them_can_be_imported_as_if_nothing_were_left_out(host: Path, whole: Path, reached: dict[str, Path]) -> None:
    """Some cannot, left out or not: they are for another system, or for a package that is not among the dependencies."""
    code = f"""if True:
        import importlib
        for name in {sorted(reached)!r}:
            try:
                importlib.import_module(name)
            except Exception as error:
                print(name, type(error).__name__, getattr(error, "name", ""))
    """
    failures = in_bundle(host, code)
    assert failures == in_bundle(whole, code)
    assert len(failures.splitlines()) < len(reached) / 10


def test_every_pattern_leaves_something_out(whole: Path) -> None:
    """One that does not is of an older version of its package, whose successor may be in the bundle."""
    suffixes = [pattern for pattern in bundle._LEFT_OUT if not pattern.startswith("**")]
    assert [pattern for pattern in suffixes if not list(whole.glob(pattern))] == []


def test_an_unchanged_source_gives_an_unchanged_path(host: Path) -> None:
    assert bundle.build("host") == host
    assert bundle.with_routes(host, "host", routes("a")) == bundle.with_routes(host, "host", routes("a"))


def test_the_archive_is_the_bundle_with_its_routes() -> None:
    archive = bundle.archive(routes("fast", "good"))
    assert isinstance(archive, pulumi.FileArchive)
    folder = Path(str(archive.path))
    assert load(folder / ROUTES_FILE) == routes("fast", "good")
    assert sources() <= {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


# For Lambda.


class Built:
    """The bundle, built in an empty cache."""

    def __init__(self, cache: Path, **environment: str) -> None:
        self.cache = cache
        code = "from pulumi_llm.base import bundle; print(bundle.build('lambda'))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cache,
            env={**os.environ, **environment, "PULUMI_LLM_CACHE": str(cache)},
        )

    def path(self) -> Path:
        output, errors = self.process.communicate()
        if f"Python {bundle.PYTHON} is needed" in errors:
            pytest.skip(f"no Python {bundle.PYTHON} here to compile the functions with: uv python install {bundle.PYTHON}")
        assert self.process.returncode == 0, errors
        return Path(output.strip())


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The zip of two builds that share no more than the sources: other folders, time zones, hash seeds."""
    first = Built(tmp_path_factory.mktemp("a"), TZ="UTC", PYTHONHASHSEED="1")
    second = Built(tmp_path_factory.mktemp("another-folder"), TZ="Asia/Tokyo", PYTHONHASHSEED="2", LC_ALL="C")
    return first.path(), second.path()


@pytest.fixture(scope="module")
def zipped(twice: tuple[Path, Path]) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(twice[0]) as opened:
        yield opened


def test_two_builds_are_the_same_to_the_byte(twice: tuple[Path, Path]) -> None:
    first, second = twice
    assert first.name == second.name
    assert first.parent != second.parent
    assert first.read_bytes() == second.read_bytes()


def test_the_zip_holds_what_a_function_needs(zipped: zipfile.ZipFile) -> None:
    names = zipped.namelist()
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=lambda name: Path(name).parts)
    assert packages() <= {name.partition("/")[0] for name in names}
    assert sources() <= set(names)
    assert [name for name in names if name.startswith(("h11/", "click/", "bin/")) or ".dist-info/" in name] == []
    assert [name for name in names if name.endswith("/py.typed")] == [], "no function reads it"
    # Lambda's own bound is 50 MB; the aim is a short cold start.
    assert sum(entry.compress_size for entry in zipped.infolist()) < 3_000_000


def test_every_source_has_its_bytecode_for_the_place_where_it_will_lie(zipped: zipfile.ZipFile) -> None:
    names = set(zipped.namelist())
    for name in names:
        if name.endswith(".py"):
            folder, _, file = name.rpartition("/")
            compiled = f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-313.pyc".removeprefix("/")
            assert compiled in names
            content = zipped.read(compiled)
            # https://docs.python.org/3/reference/import.html#pyc-invalidation: by hash, and not looked up again
            assert int.from_bytes(content[4:8], "little") == 0b01
            assert f"/var/task/{name}".encode() in content


def test_times_and_modes_are_fixed(zipped: zipfile.ZipFile) -> None:
    assert {entry.date_time for entry in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    modes = {entry.filename: stat.S_IMODE(entry.external_attr >> 16) for entry in zipped.infolist()}
    assert modes.pop("run.sh") == 0o755
    assert set(modes.values()) == {0o644}


def test_native_code_is_for_arm64(zipped: zipfile.ZipFile) -> None:
    native = [name for name in zipped.namelist() if ".so" in Path(name).suffixes]
    assert native
    assert {int.from_bytes(zipped.read(name)[18:20], "little") for name in native} == {EM_AARCH64}


# The routes document in it.


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of one file, and a cache of the test's own."""
    monkeypatch.setenv("PULUMI_LLM_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base.zip"
    with zipfile.ZipFile(base, "w") as opened:
        opened.writestr(zipfile.ZipInfo("run.sh"), "exec true")
    return base


def cached() -> list[str]:
    return sorted(path.name for path in (bundle.cache_folder() / "bundle").iterdir())


def test_routes_are_added_to_the_zip_the_same_way_each_time(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bundle.with_routes(small, "lambda", routes("a", "b"))
    monkeypatch.setenv("PULUMI_LLM_CACHE", str(tmp_path / "other"))
    second = bundle.with_routes(small, "lambda", routes("a", "b"))
    assert first != second
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as opened:
        assert opened.namelist() == ["run.sh", ROUTES_FILE]
        opened.extract(ROUTES_FILE, tmp_path)
    assert load(tmp_path / ROUTES_FILE) == routes("a", "b")


def test_other_routes_or_another_bundle_are_another_archive(small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as opened:
        opened.writestr("run.sh", "exec false")
    paths = [bundle.with_routes(small, "lambda", routes("a")), bundle.with_routes(small, "lambda", routes("b", "a"))]
    paths.append(bundle.with_routes(other, "lambda", routes("a")))
    assert len(set(paths)) == 3
    assert bundle.with_routes(small, "lambda", routes("a")) == paths[0]


def test_the_bundle_itself_stays_as_it_is(host: Path, small: Path) -> None:
    before = small.read_bytes()
    bundle.with_routes(small, "lambda", routes("a"))
    bundle.with_routes(host, "host", routes("a"))
    assert small.read_bytes() == before
    assert not (host / ROUTES_FILE).exists()


def test_what_fails_half_way_leaves_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def full(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(zipfile.ZipFile, "writestr", full)
        with pytest.raises(OSError, match="No space left"):
            bundle.with_routes(small, "lambda", routes("a"))
    assert cached() == []
    assert bundle.with_routes(small, "lambda", routes("a")).exists()


@pytest.mark.parametrize("target", ["lambda", "host"])
def test_several_at_once_get_one_and_the_same(target: bundle.Target, host: Path, small: Path) -> None:
    base = small if target == "lambda" else host
    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(lambda _: bundle.with_routes(base, target, routes("a")), range(6)))
    (path,) = paths
    assert cached() == [path.name]


def test_an_archive_that_this_program_was_given_stays(small: Path) -> None:
    given = [bundle.with_routes(small, "lambda", routes(f"model-{number}")) for number in range(12)]
    assert [path for path in given if not path.exists()] == []


# The cache, and what cannot be built.


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PULUMI_LLM_CACHE": "/own"}, "/own"),
        ({"PULUMI_LLM_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/pulumi-llm"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/pulumi-llm"),
    ],
    ids=str,
)
def test_where_built_things_are_kept(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("PULUMI_LLM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bundle.cache_folder() == Path(expected)


def test_without_the_functions_python_it_says_how_to_get_it(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No interpreter anywhere that uv and pyenv look.
    for name in ("PATH", "PYENV_ROOT", "HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(BundleError) as error:
        bundle.build("lambda")
    for text in (
        "Python 3.13 is needed to compile the functions for Lambda's runtime python3.13, and none is on this machine",
        "uv python install 3.13",
        "The local run (pulumi-llm local) works without it",
    ):
        assert text in str(error.value)


def test_dependencies_that_are_not_what_was_locked_are_refused(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lambda.txt"
    lock.write_text("six==1.17.0\n")  # without a hash
    monkeypatch.setattr(bundle, "_lock", lambda: lock)
    with pytest.raises(BundleError, match=r"(?s)^the functions' dependencies cannot be installed:\n.*hash"):
        bundle.build("host")
    assert cached() == []


def test_what_is_installed_is_shared_with_nobody(small: Path, tmp_path: Path) -> None:
    """Some files of a bundle are written anew. In uv's cache that would change every environment of the machine."""
    bundle._install(tmp_path / "installed", "host", sys.executable)
    files = [path for path in (tmp_path / "installed").rglob("*") if path.is_file()]
    assert files and {path.stat().st_nlink for path in files} == {1}


def test_without_uv_it_says_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(BundleError, match=r"^uv is needed .*: pip install 'pulumi-llm\[local\]'$"):
        bundle.build("host")


def test_a_missing_lock_is_told(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "__file__", str(tmp_path / "site-packages" / "pulumi_llm" / "bundle.py"))
    with pytest.raises(BundleError, match=r"^the lock of the functions' dependencies \(lambda.txt\) is missing"):
        bundle.build("host")


def test_missing_sources_are_told(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "find_spec", lambda name: None)
    monkeypatch.setattr(bundle, "_install", lambda to, *_: to.mkdir())
    with pytest.raises(BundleError, match=r"^the package llm_gateway is missing from this installation$"):
        bundle.build("host")


def test_a_source_that_does_not_compile_is_told(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "llm_gateway"
    root.mkdir()
    (root / "wrong.py").write_text("def :\n")
    monkeypatch.setattr(bundle, "_source_files", lambda: iter([("llm_gateway/wrong.py", root / "wrong.py")]))
    monkeypatch.setattr(bundle, "_install", lambda to, *_: to.mkdir())
    monkeypatch.setattr(bundle, "_python", lambda target: sys.executable)
    with pytest.raises(BundleError, match=r"wrong\.py"):
        bundle.build("lambda")


def test_the_lock_holds_a_hash_for_every_package_and_no_address() -> None:
    text = (ROOT / "requirements" / "lambda.txt").read_text()
    assert "://" not in "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert text.count("--hash=sha256:") >= len(packages())
