"""Modules that are loaded at first use: those that the package exports from, and those of pulumi_aws.

The Automation API runs each inline program in a thread of its own. Where two of them touch a lazy module of pulumi_aws at once,
one of them gets it half loaded: Pulumi's `lazy_import` has no lock (pulumi/_utils.py, as in
https://github.com/python/cpython/issues/114763). A component's module touches some while it is imported.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

# What components share, besides their own package.
_SHARED = ("pulumi_llm.base.", "pulumi_llm.api_edge.")

_loading = threading.RLock()


def lazy_exports(package: str, exports: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package that loads what it exports at first use (PEP 562).

    No module of pulumi_llm may use such an export while it is imported: another thread may have the lock, and wait for it.

    Args:
        package: the package's name.
        exports: for each name that the package exports, the module below the package that has it.
    """

    def load(name: str) -> Any:
        module = sys.modules[package]
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        with _loading:
            value = getattr(import_module(f"{package}.{exports[name]}"), name)
        setattr(module, name, value)  # from now on it is found without this function
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exports})

    return load, names


def load_lazy_modules(module: str) -> None:
    """Load what the modules of a component's package have imported, one thread at a time; `module` is the component's."""
    packages = (f"{module.rpartition('.')[0]}.", *_SHARED)
    with _loading:
        for name, imported in list(sys.modules.items()):
            if name.startswith(packages):
                for value in list(vars(imported).values()):
                    # A lazy module is of a type of its own, until the first access to an attribute loads it.
                    if issubclass(type(value), ModuleType) and type(value) is not ModuleType:
                        getattr(value, "loaded", None)


def load(module: ModuleType) -> None:
    """Load a module of pulumi_aws that a function imports itself, because most programs have no use for it."""
    with _loading:
        getattr(module, "loaded", None)
