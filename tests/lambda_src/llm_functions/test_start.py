"""What a cold start imports before its first answer: each module more is time that a caller waits for, and that is paid for."""

import subprocess
import sys
from pathlib import Path

import msgspec

import llm_gateway
from llm_gateway.routes import ROUTES_FILE, Alias, Routes, Target, encode

# Of the standard library, beside what asyncio, msgspec and httptools import.
NEEDED = {"bisect", "hashlib", "hmac", "ipaddress", "random", "urllib", "urllib.parse"}
# As Lambda starts it: no site-packages' own start files, and nothing of the user's.
START = f"""if True:
    import sys
    sys.path[:0] = {[str(Path(llm_gateway.__file__).parents[1]), str(Path(msgspec.__file__).parents[1])]}
    import asyncio, gc, httptools, msgspec
    before = set(sys.modules)
    gc.disable()
    from llm_functions.http.__main__ import main
"""


def started(code: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-S", "-I", "-c", START + code]
    done = subprocess.run(command, env=environment or {}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_start_imports_what_a_plain_answer_needs() -> None:
    added = set(started("    print(*set(sys.modules) - before)").split())
    packages = {"llm_functions", "llm_gateway"}
    assert {name for name in added if name.split(".")[0] not in packages and not name.startswith("_")} <= NEEDED
    assert {name for name in added if name.startswith("llm_gateway.stages.")} == {
        "llm_gateway.stages.authorize",
        "llm_gateway.stages.validate",
    }
    assert {
        name for name in added if name.startswith("llm_gateway.providers.") and name.endswith(("invoke_model", "embeddings"))
    } == set()


def test_garbage_is_collected_once_it_serves(tmp_path: Path) -> None:
    """The start script turns the collector off for the imports."""
    (tmp_path / ROUTES_FILE).write_bytes(encode(Routes((Alias("m", (Target("mock/m", "mock", "m", 100, 1000, ()),)),))))
    environment = {
        **{"LAMBDA_TASK_ROOT": str(tmp_path), "AUTHORIZATION": "none", "CORS_ALLOW_ORIGIN": "*"},
        **{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"},
    }
    code = """
    asyncio.run = lambda served: served.close()
    main()
    print(gc.isenabled())
"""
    assert started(code, environment) == "True\n"
