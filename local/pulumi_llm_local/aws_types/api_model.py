"""AWS's own models of its APIs, as botocore carries them: each read once, and only when something asks for it."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast


class Shape(Protocol):
    """What is read of a shape of botocore's service model."""

    name: str
    type_name: str
    metadata: Mapping[str, Any]
    serialization: Mapping[str, Any]
    members: Mapping[str, "Shape"]  # of a structure
    member: "Shape"  # of a list
    key: "Shape"  # of a map
    value: "Shape"


class Operation(Protocol):
    """What is read of an operation."""

    input_shape: Shape


class ServiceModel(Protocol):
    """What is read of a service's model."""

    operation_names: Sequence[str]

    def operation_model(self, operation_name: str) -> Operation: ...


@functools.cache
def service_model(name: str) -> ServiceModel | None:
    """Read a service's model; None where there is no service of this name."""
    from botocore import model
    from botocore.loaders import Loader

    loader: Any = Loader()
    if name not in loader.list_available_services("service-2"):
        return None
    return cast(ServiceModel, model.ServiceModel(loader.load_service_model(name, "service-2"), name))
