"""A local AppConfig with one configuration, which tests deploy documents to."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from pulumi_llm_local.services.appconfig import AppConfig, Profile, application
from support.local_bedrock import KEYS, REGION
from support.web_app import listening

APPLICATION, ENVIRONMENT, PROFILE, STRATEGY = "app1234", "env1234", "pro1234", "str1234"
CONFIGURATION = f"{APPLICATION}/{ENVIRONMENT}/{PROFILE}"


class Deployed(AppConfig):
    """An AppConfig with one configuration. `schemas` are those of its validators."""

    def __init__(self, *schemas: str, **more: Any) -> None:
        super().__init__(**more)
        self.applications[APPLICATION] = "the-flags"
        self.environments[APPLICATION, ENVIRONMENT] = "the-functions"
        self.profile = self.profiles[APPLICATION, PROFILE] = Profile(APPLICATION, PROFILE, "the-profile", schemas)
        self.strategies[STRATEGY] = (0, 0)
        self.url = ""

    def put(self, document: Any, label: str = "") -> None:
        """Deploy a document at once. A text is deployed as it is."""
        content = document if isinstance(document, str) else json.dumps(document)
        made = self.add_version(self.profile, content.encode(), "application/json", label=label)
        self.deploy((APPLICATION, ENVIRONMENT), self.profile, str(made.number), STRATEGY)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Deployed"]:
        async with listening(application(self, REGION, KEYS)) as self.url:
            yield self
