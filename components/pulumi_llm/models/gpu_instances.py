"""The GPU instances of EC2: gpu_instances.toml, with its sources."""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GPU. `bandwidth` is its memory's, in 10^9 bytes a second."""

    name: str
    memory_mib: int
    compute_capability: str
    bandwidth: int

    @property
    def capability(self) -> tuple[int, int]:
        """Its compute capability, to compare with."""
        major, minor = self.compute_capability.split(".")
        return int(major), int(minor)


class GpuInstance(msgspec.Struct, frozen=True):
    """An instance type. `price` is US dollars an hour, on demand, Linux, us-east-1, as it was at the date `priced`."""

    name: str
    gpu: Gpu
    gpus: int
    vcpus: int
    memory_gib: int
    price: float
    priced: date


@cache
def gpu_instances() -> Mapping[str, GpuInstance]:
    """Every instance type by its name, the cheapest first."""
    text = files("pulumi_llm.models").joinpath("gpu_instances.toml").read_text(encoding="utf-8")
    document: dict[str, Any] = tomllib.loads(text)
    gpus = {name: {**table, "name": name} for name, table in document["gpus"].items()}
    found = [
        msgspec.convert({**table, "name": name, "gpu": gpus[table["gpu"]], "priced": document["priced"]}, GpuInstance)
        for name, table in document["instances"].items()
    ]
    return {instance.name: instance for instance in sorted(found, key=lambda instance: (instance.price, instance.gpus))}
