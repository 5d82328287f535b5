"""CdnFrontend: the web client and the APIs behind one address."""

from pulumi_llm.cdn_frontend.args_types import CdnFrontendArgs
from pulumi_llm.cdn_frontend.component import CdnFrontend

__all__ = ["CdnFrontend", "CdnFrontendArgs"]
