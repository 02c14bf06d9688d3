"""``mmvae score``: write the bound of each item's log-likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmvae.cli.items import items_arguments, load_items, report_unused
from mmvae.cli.options import echo, example, json_option, print_json, say
from mmvae.cli.outputs import refuse_output

if TYPE_CHECKING:
    from torch import Tensor

    from mmvae.data.source import Split
    from mmvae.inference.trained_model import TrainedModel


@click.command(
    epilog=example(
        "mmvae score runs/short test --out test.csv",
        "mmvae score runs/short photos.parquet --given image --samples 1000 --out photos.parquet",
    )
)
@items_arguments
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="k, samples of the posterior for each item; the bound rises with k.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the samples.")
@json_option
def command(
    run: Path,
    data: str,
    out: Path,
    given: tuple[str, ...] | None,
    samples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Write an importance-weighted bound of log p(x) for each item in DATA, in nats.

    DATA is train, validation or test, a split of RUN's own data, or a Parquet, Arrow, CSV or
    JSON-lines file whose columns are named after the modalities. x are the modalities of DATA,
    or those of --given. An incomplete item counts with the modalities that it has. The table has
    the columns id and log_likelihood, which is for values in your units, and for pictures in
    [0, 1]. If a codec standardises, log_likelihood_standardised is for the standardised values.

    Each value is an estimate of a lower bound from k samples. The value of a single item may lie
    above its log p(x) by chance. The mean over items is a lower bound, and tighter for larger k.
    """
    from mmvae.data.output_tables import write_table
    from mmvae.evaluation.standardised import KEY
    from mmvae.evaluation.statistics import mean_and_error
    from mmvae.experiments.train import load
    from mmvae.report.tables import density

    refuse_output(out, run, [data])
    model = load(run)
    items = load_items(model, run, data)
    report_unused(model, items, data, given)
    scored = model.names(items, given)
    scores, standardised = model.scores(items, samples, given, seed)
    report_divergence(model, items, scores, given, seed)
    columns = {"log_likelihood": scores}
    if standardised is not None:
        columns[f"log_likelihood_{KEY}"] = standardised
    write_table(out, {"id": items.ids, **columns})
    found = {name: mean_and_error(values) for name, values in columns.items()}
    n = len(scores)
    densities = {m: of for m in scored if (of := model.codecs[m].density) is not None}
    if as_json:
        result: dict[str, Any] = {
            **named(found["log_likelihood"]),
            "items": n,
            "samples": samples,
        }
        if standardised is not None:
            result[KEY] = named(found[f"log_likelihood_{KEY}"])
        if densities:
            result["densities"] = densities
        print_json({"modalities": list(scored), **result, "out": str(out)})
        return
    incomplete = any(items.columns[column].num_missing for column in scored.values())
    targets = ("what each item has of " if incomplete else "") + ", ".join(scored)
    echo(
        f"log p({targets}) ≥ {shown(found['log_likelihood'])} nats per item; k = {samples}, "
        f"{n} items, written to {out}\nA single item's value is an estimate of its bound and may "
        "exceed its log p(x); the mean over items is a lower bound."
    )
    if standardised is not None:
        text = shown(found[f"log_likelihood_{KEY}"])
        click.echo(f"Of the standardised values that the networks see: {text} nats per item.")
    for pair in densities.items():
        click.echo(density(pair))


def report_divergence(
    model: TrainedModel, items: Split, scores: Tensor, given: Any, seed: int
) -> None:
    """Remark on scores, of a sample of the items, far below those before any training."""
    from mmvae.foundations.randomness import sample
    from mmvae.inference.sampling import CHUNK
    from mmvae.inference.trained_model import TrainedModel
    from mmvae.training.untrained import far_below, untrained

    few = sample(len(scores), CHUNK, seed, "diverged")
    before = TrainedModel(untrained(model.model), model.columns)
    then, _ = before.scores(items.take(few.numpy()), 1, given, seed)
    if remark := far_below(scores[few], then, "log p"):
        say(f"warning: {remark}")


def named(statistic: Mapping[str, float | None]) -> dict[str, float | None]:
    """Mean and error by their names in JSON."""
    return {"mean": statistic["mean"], "standard_error": statistic["error"]}


def shown(statistic: Mapping[str, float | None]) -> str:
    """``"-3.1416 ± 0.0271 (standard error)"``."""
    error = statistic["error"]
    margin = "" if error is None else f" ± {error:.4f} (standard error)"
    return f"{statistic['mean']:.4f}{margin}"
