"""``mmvae data``: describe, check and make data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmvae.cli.counts import shown_counts
from mmvae.cli.info import cores
from mmvae.cli.options import (
    columns,
    config_argument,
    echo,
    example,
    json_option,
    print_json,
    say,
    set_option,
)
from mmvae.foundations.errors import DataCheckError, UsageError

if TYPE_CHECKING:
    from mmvae.data.dataset import Data
    from mmvae.data.description import ModalitySummary, SplitSummary
    from mmvae.data.findings import Finding
    from mmvae.data.generator import Maker
    from mmvae.experiments.experiment import Experiment
    from mmvae.plugins.registry import Registry


MOST_PATTERNS = 40
"""Maximum number of rows in a table of patterns; the rest is summed up."""


@click.group(epilog=example("mmvae data describe examples/digits.toml"))
def command() -> None:
    """Describe, check and make data."""


@command.command(
    epilog=example(
        "mmvae data describe examples/digits.toml",
        "mmvae data describe examples/digits.toml --json",
    )
)
@config_argument
@set_option
@json_option
def describe(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Describe the data of CONFIG as its model sees them.

    The output has the sizes of the splits, and the ranges, classes and missing values of each.
    """
    from mmvae.data.dataset import open_data
    from mmvae.data.description import describe as describe_data
    from mmvae.experiments.build import open_source, recipes
    from mmvae.experiments.config import load_experiment
    from mmvae.plugins.loader import load_registry

    registry = load_registry()
    experiment = load_experiment(config, overrides, registry).experiment
    source = open_source(experiment, registry)
    data = open_data(source, recipes(experiment, registry))
    summaries = describe_data(data)
    if as_json:
        print_json(_json(data, summaries))
        return
    echo(f"source {source.kind}, fingerprint {source.fingerprint()}")
    for remark in (*source.remarks(), *source.doubts()):
        echo(remark)
    for name, summary in summaries.items():
        echo(f"\n{name}: {summary.items} items, {_memory(summary)}")
        echo(columns(_rows(data, summary)))
        echo(_patterns(summary))


@command.command(epilog=example("mmvae data check examples/digits.toml"))
@config_argument
@set_option
@json_option
def check(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check all data of CONFIG; exit code 4 if anything is wrong.

    Errors are values outside a codec's support, items without any modality, items that are in
    two splits, and classes that are missing in the training split. Warnings are given for
    repeated items, constant columns, extreme numbers such as fill values, and tiny splits.
    """
    from mmvae.data.checks import check as check_data
    from mmvae.experiments.build import open_source, recipes
    from mmvae.experiments.config import load_experiment
    from mmvae.plugins.loader import load_registry

    registry = load_registry()
    experiment = load_experiment(config, overrides, registry).experiment
    source = open_source(experiment, registry)
    sizes, findings = check_data(source, recipes(experiment, registry))
    if experiment.evaluate.judge_data and not any(finding.wrong for finding in findings):
        findings += _judging(experiment, registry)
    wrong = sum(finding.wrong for finding in findings)
    if as_json:
        found = [finding.as_json() for finding in findings]
        print_json({"config": config, "ok": not wrong, "items": sizes, "findings": found})
    elif findings:
        heading = ("", "split", "modality", "item", "finding")
        echo(columns([heading, *map(_row, findings)]))
    if not wrong and not as_json:
        items = ", ".join(f"{n} {split}" for split, n in sizes.items())
        echo(f"OK {config}: {items} items, nothing wrong found")
    if wrong:
        things = "thing is" if wrong == 1 else "things are"
        raise DataCheckError(f"{config}: {wrong} {things} wrong with the data, see above.")


def _judging(experiment: Experiment, registry: Registry) -> list[Finding]:
    """Errors in the data of ``evaluate.judge_data``, with the messages of a training."""
    from mmvae.data.dataset import open_data
    from mmvae.data.findings import Finding
    from mmvae.experiments.build import open_source, recipes
    from mmvae.experiments.classifier_data import check_classifier_data
    from mmvae.foundations.errors import ConfigError, DataError

    data = open_data(open_source(experiment, registry), recipes(experiment, registry))
    try:
        check_classifier_data(experiment, registry, None, data.codecs)
    except (ConfigError, DataError, UsageError) as error:
        return [Finding("judge", "train", None, None, str(error))]
    return []


@command.command(
    epilog=example(
        "mmvae data make faces --items 10000 --out data/faces",
        "mmvae data make faces --items 500 --seed 7 --processes 1 --out data/few",
    )
)
@click.argument("kind", metavar="NAME")
@click.option(
    "--items", type=click.IntRange(min=1), required=True, help="Number of items to make."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to create; it must not exist or must be empty.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the items; a smaller count gives the first of them.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes; one per core unless given.",
)
def make(kind: str, items: int, out: Path, seed: int, processes: int | None) -> None:
    """Make the data set NAME, one that a plugin can make, in the folder DIR.

    DIR appears when the data set is complete. After an interruption, the same command resumes.
    """
    from mmvae.experiments.generate import make_data
    from mmvae.plugins.loader import load_registry

    maker = _maker(load_registry().find("maker", kind), items, seed)
    with shown_counts() as progress:
        make_data(maker, out, processes or cores(), progress)
    say(f"{out}: {items} {kind}, seed {seed}")


def _maker(maker: type[Maker], items: int, seed: int) -> Maker:
    from pydantic import ValidationError

    given: dict[str, Any] = {"items": items, "seed": seed}
    try:
        return maker(maker.Config(**given))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"--{name} {given.get(name, '')}: {first['msg']}, says maker {maker.kind!r}."
        ) from None


def _row(finding: Finding) -> tuple[str, ...]:
    item = "all" if finding.item is None else str(finding.item)
    weight = "wrong" if finding.wrong else "remark"
    return (weight, finding.split, finding.modality or "all", item, finding.message)


def _rows(data: Data, summary: SplitSummary) -> list[tuple[str, ...]]:
    header = ("modality", "column", "codec", "event shape", "dtype", "range", "classes")
    rows: list[tuple[str, ...]] = [header]
    return rows + [
        (
            m,
            data.columns[m],
            codec.kind,
            "×".join(map(str, codec.event_shape)),
            summary.modalities[m].dtype,
            _range(summary.modalities[m]),
            _classes(summary.modalities[m]),
        )
        for m, codec in data.codecs.items()
    ]


def _range(summary: ModalitySummary) -> str:
    return f"{summary.low:.4g}..{summary.high:.4g}" if summary.low <= summary.high else "none"


def _classes(summary: ModalitySummary, shown: int = 12) -> str:
    counts = list((summary.classes or {}).items())
    more = f", … ({len(counts)} in all)" if len(counts) > shown else ""
    return ", ".join(f"{name}: {n}" for name, n in counts[:shown]) + more


def _memory(summary: SplitSummary) -> str:
    where = "kept in memory" if summary.resident else "read when needed"
    return f"{summary.bytes / 2**20:.3g} MiB prepared, {where}"


def _patterns(summary: SplitSummary) -> str:
    """The pattern table of missing modalities; one sentence if there are none."""
    partial = {m: s.partial for m, s in summary.modalities.items() if s.partial}
    if len(summary.patterns) == 1 and not partial:
        return f"items have: {next(iter(summary.patterns))}, all of them"
    rows = [("items have", "items", "share")]
    shown = dict(summary.patterns.most_common(MOST_PATTERNS))
    if rest := len(summary.patterns) - len(shown):
        shown[f"… and {rest:,} other sets"] = summary.patterns.total() - sum(shown.values())
    counts = {
        **shown,
        **{f"{m} in part": n for m, n in partial.items()},
    }
    return columns(
        [*rows, *((what, str(n), f"{n / summary.items:.1%}") for what, n in counts.items())]
    )


def _json(data: Data, summaries: dict[str, SplitSummary]) -> dict[str, object]:
    from mmvae.data.description import as_json

    modalities = {
        m: {
            "column": data.columns[m],
            "codec": codec.kind,
            "event_shape": list(codec.event_shape),
            "classes": None if codec.classes is None else list(codec.classes),
        }
        for m, codec in data.codecs.items()
    }
    return {
        "source": data.source.kind,
        "fingerprint": data.source.fingerprint(),
        "remarks": [*data.source.remarks(), *data.source.doubts()],
        "modalities": modalities,
        "splits": {name: as_json(summary) for name, summary in summaries.items()},
    }
