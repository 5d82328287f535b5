"""`pulumi-llm fit`: on which GPU instances a model fits, and how vLLM is told to serve it."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from pulumi_llm.cli.given import fail
from pulumi_llm.models import fit as fits
from pulumi_llm.models.catalogue import ModelError, WeightFormat, catalogue, find
from pulumi_llm.models.fit import Fit, Misfit, Wishes
from pulumi_llm.models.gpu_instances import GpuInstance, gpu_instances
from pulumi_llm.models.hugging_face import ConfigError, OpenModel, read_config


def run(
    model: Annotated[str, typer.Argument(help="A model of the catalogue, or the path of a config.json from Hugging Face.")],
    instance: Annotated[str, typer.Argument(help="An instance type, such as g5.12xlarge. Default: all.")] = "",
    weights: Annotated[
        str, typer.Option(help=f"The format of the weights: {', '.join(fits.formats())}. Default: as published.")
    ] = "",
    context: Annotated[int, typer.Option(help="The longest request in tokens, answer included.", min=0)] = 0,
    tensor_parallel: Annotated[int, typer.Option(help="Over how many GPUs a replica is spread.", min=0)] = 0,
    tokens_per_second: Annotated[
        float, typer.Option(help="The instance's output that you measured, for the price of a million tokens.", min=0)
    ] = 0,
    parameters_billion: Annotated[
        float, typer.Option(help="The number of parameters, for a config.json whose architecture is not counted.", min=0)
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Compute on which GPU instances of EC2 a model fits, with which arguments of vLLM, and at what price.

    \f
    The exit code is 1 if the model fits none, or not the one that was named, and 2 if an argument is wrong.
    """
    problems: list[str] = []
    found = _model(model, parameters_billion or None, problems)
    if instance and instance not in gpu_instances():
        problems.append(f"INSTANCE: {instance!r} is none of {', '.join(gpu_instances())}")
    if weights and weights not in fits.formats():
        problems.append(f"--weights: {weights!r} is none of {', '.join(fits.formats())}")
    if found is None or problems:
        fail("\n".join(problems), 2)
    wishes = Wishes(
        weights=_format(weights),
        tensor_parallel=tensor_parallel or None,
        context=context or None,
        tokens_per_second=tokens_per_second or None,
    )
    asked = [gpu_instances()[instance]] if instance else list(gpu_instances().values())
    results = [fits.fit(found.shape, found.context_tokens, each, wishes) for each in asked]
    smallest = next(fits.fits(found.shape, found.context_tokens, wishes), None)
    if as_json:
        typer.echo(
            msgspec.json.format(msgspec.json.encode({"model": model, "results": results, "smallest": smallest})).decode()
        )
    elif instance:
        _show_one(model, asked[0], results[0], smallest)
    else:
        _show_all(model, results)
    if not any(isinstance(result, Fit) for result in results):
        raise typer.Exit(1)


def _format(name: str) -> WeightFormat | None:
    return next((known for known in fits.formats() if known == name), None)


def _model(name: str, parameters_billion: float | None, problems: list[str]) -> OpenModel | None:
    if name.endswith(".json"):
        try:
            return read_config(Path(name).read_bytes(), parameters_billion)
        except OSError as error:
            problems.append(f"MODEL: {name}: {error.strerror}")
        except ConfigError as error:
            problems.append(f"MODEL: {name}: {error}")
        return None
    if parameters_billion is not None:
        problems.append("--parameters-billion: is for a config.json; the catalogue knows its models' numbers")
    try:
        model, _ = find(name)
    except ModelError as error:
        problems.append(f"MODEL: {error}")
        return None
    if model.shape is None:
        known = ", ".join(model.name for model in catalogue().values() if model.shape)
        problems.append(
            f"MODEL: the catalogue has no shape of {model.name!r}; give the path of its config.json, or one of {known}"
        )
        return None
    return OpenModel(model.shape, model.context_tokens)


def _show_one(model: str, instance: GpuInstance, result: Fit | Misfit, smallest: Fit | None) -> None:
    if isinstance(result, Misfit):
        typer.echo(f"{model} does not fit {instance.name}: {result.reason}")
        if smallest is not None:
            typer.echo(f"the cheapest that it fits: {smallest.instance}, ${smallest.usd_per_hour:,.2f} an hour")
        return
    lines = {
        "GPUs": f"{result.gpus} {result.gpu}, {instance.memory_gib} GiB of host memory, {instance.vcpus} vCPUs",
        "weights": f"{result.weights}, {result.weights_gib:.1f} GiB on each GPU",
        "replicas": f"{result.replicas}, each on {result.tensor_parallel} of the GPUs",
        "KV cache": f"{result.cache_tokens:,} tokens a replica: {result.sequences:g} requests of {result.context:,} tokens",
        "price": f"${result.usd_per_hour:,.2f} an hour; ${result.usd_per_million:,.2f} a million output tokens at "
        f"{result.tokens_per_second:,.0f} tokens/s around the clock",
        "vllm serve": " ".join(result.arguments),
    }
    typer.echo(f"{model} fits {instance.name}:")
    for name, text in lines.items():
        typer.echo(f"  {name:10}  {text}")
    typer.echo(_BASIS)


def _show_all(model: str, results: list[Fit | Misfit]) -> None:
    fitting = [result for result in results if isinstance(result, Fit)]
    if fitting:
        table = Table(title=f"{model} on one instance", title_justify="left")
        heads = (
            "instance",
            "GPUs",
            "TP",
            "replicas",
            "weights/GPU",
            "cache tokens",
            "context",
            "$/hour",
            "tokens/s",
            "$/M tokens",
        )
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number > 1 else "left", no_wrap=True)
        for each in fitting:
            table.add_row(
                each.instance,
                f"{each.gpus} {each.gpu}",
                str(each.tensor_parallel),
                str(each.replicas),
                f"{each.weights_gib:.1f} GiB",
                f"{each.cache_tokens:,}",
                f"{each.context:,}",
                f"{each.usd_per_hour:.2f}",
                f"{each.tokens_per_second:,.0f}",
                f"{each.usd_per_million:.2f}",
            )
        console = Console(width=None if Console().is_terminal else 120)
        console.print(table)
        typer.echo(_BASIS)
    reasons: dict[str, list[str]] = {}
    for each in results:
        if isinstance(each, Misfit):
            reasons.setdefault(each.reason, []).append(each.instance)
    for reason, instances in reasons.items():
        typer.echo(f"{', '.join(instances)}: {reason}")


_BASIS = (
    "Computed, not measured. Prices: on demand, Linux, us-east-1. tokens/s, if not given: at most "
    f"{fits.ESTIMATE_REQUESTS} requests of {fits.ESTIMATE_TOKENS:,} tokens at once, at half of the GPUs' memory bandwidth."
)
