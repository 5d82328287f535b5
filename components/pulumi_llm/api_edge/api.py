"""The REST API that the routes are on."""

from dataclasses import dataclass

import pulumi

# The stage's name is the first part of the path. A CDN in front can route /api/* here as it is.
STAGE = "api"


@dataclass(frozen=True)
class Api:
    """A REST API that the component has made, or one that exists."""

    id: pulumi.Output[str]
    root_resource_id: pulumi.Output[str]
    execution_arn: pulumi.Output[str]
    parts: tuple[pulumi.Resource, ...] = ()
    """What a deployment freezes of the API itself: the API and its policy. None of an API that exists."""
    stage_name: str = STAGE
    path_prefix: str = ""
    """The path below which the service's routes are."""
