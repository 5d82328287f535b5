from collections.abc import Mapping
from typing import Any

class OperationModel:
    input_shape: Any

class ServiceModel:
    def __init__(self, service_description: Mapping[str, Any], service_name: str | None = ...) -> None: ...
    def operation_model(self, operation_name: str) -> OperationModel: ...
