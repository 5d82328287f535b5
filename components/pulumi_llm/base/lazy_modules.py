"""Threads and the modules that pulumi_aws imports lazily.

The Automation API runs each inline program in a thread of its own. Where two of them touch a lazy module at once, one of them
gets it half loaded: Pulumi's `lazy_import` has no lock (pulumi/_utils.py, as in https://github.com/python/cpython/issues/114763).
"""

import sys
import threading
from types import ModuleType

# What components share, besides their own package.
_SHARED = ("pulumi_llm.base.", "pulumi_llm.api_edge.")

_loading = threading.Lock()


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
