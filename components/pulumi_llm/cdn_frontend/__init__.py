"""CdnFrontend: the web client and the APIs behind one address."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.cdn_frontend.args_types import CdnFrontendArgs
    from pulumi_llm.cdn_frontend.component import CdnFrontend
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"CdnFrontend": "component", "CdnFrontendArgs": "args_types"})

__all__ = ["CdnFrontend", "CdnFrontendArgs"]
