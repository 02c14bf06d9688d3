"""``mmvae train``: train a model from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mmvae.cli.launcher import torchrun
from mmvae.cli.options import (
    columns,
    config_argument,
    echo,
    example,
    leading,
    set_option,
    verbosity,
)
from mmvae.cli.training import conclude, limit_options, progress, stopped_together
from mmvae.data.split_names import SPLITS
from mmvae.foundations.errors import UsageError


@click.command(
    epilog=example(
        "mmvae train examples/digits.toml",
        "mmvae train examples/digits.toml -s train.epochs=5 --run-dir runs/short",
        "mmvae train examples/digits.toml --dry-run",
        "mmvae train examples/digits.toml --launcher torchrun -- --nproc-per-node 2",
    )
)
@config_argument
@set_option
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="The run's folder, new or empty; runs/NAME/TIME-ID unless given.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Load, build, do one step, save and load one checkpoint; leave nothing on disk.",
)
@limit_options
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Initialise the weights from this run or model folder.",
)
@click.option(
    "--launcher",
    type=click.Choice(["torchrun"]),
    help="Start several processes; the launcher's own arguments follow a --.",
)
@click.argument("launcher_arguments", metavar="[-- ARGS]", nargs=-1, type=click.UNPROCESSED)
def command(
    config: str,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    dry_run: bool,
    max_steps: int | None,
    max_seconds: float | None,
    init_from: Path | None,
    launcher: str | None,
    launcher_arguments: tuple[str, ...],
) -> int:
    """Train a model from CONFIG, a TOML file or - for standard input.

    Ctrl-C or SIGTERM saves and stops the training; `mmvae resume` continues it.
    """
    from mmvae.experiments.config import load_experiment
    from mmvae.experiments.train import dry_run as try_out
    from mmvae.experiments.train import train
    from mmvae.runs.run_place import default_folder

    if launcher_arguments and launcher is None:
        raise UsageError(f"{launcher_arguments[0]}: only --launcher takes further arguments.")
    if dry_run:
        describe(try_out(config, overrides=overrides, init_from=init_from))
        return 0
    if launcher is not None:
        if config == "-":
            raise UsageError("--launcher needs a CONFIG that every process can read, not -.")
        experiment = load_experiment(config, overrides).experiment
        run_dir = run_dir or default_folder(experiment.name)
        given = options(overrides, run_dir, max_steps, max_seconds, init_from)
        return torchrun(launcher_arguments, [*given, config], run_dir)
    with stopped_together():
        result = train(
            config,
            overrides=overrides,
            run_dir=run_dir,
            max_steps=max_steps,
            max_seconds=max_seconds,
            init_from=init_from,
            progress=progress(),
        )
    conclude(result)
    return 0


def options(
    overrides: tuple[str, ...],
    run_dir: Path,
    max_steps: int | None,
    max_seconds: float | None,
    init_from: Path | None,
) -> list[str]:
    """The command line of each process that a launcher starts, without its CONFIG."""
    given = {
        "--run-dir": run_dir,
        "--max-steps": max_steps,
        "--max-time": max_seconds,
        "--init-from": init_from,
    }
    quiet = ["--quiet"] if verbosity().quiet else []
    sets = [part for override in overrides for part in ("--set", override)]
    others = [str(p) for name, value in given.items() if value is not None for p in (name, value)]
    return [*quiet, "train", *sets, *others]


def describe(built: dict[str, Any]) -> None:
    """Print what a dry run built and tested."""
    if not leading():
        return
    terms = ", ".join(f"{name} {value:.4g}" for name, value in built["terms"].items())
    rows = [
        ("name", built["name"]),
        ("items", ", ".join(f"{built['items'][s]} {s}" for s in SPLITS if s in built["items"])),
        *(
            (f"modality {name}", "×".join(map(str, shape)))
            for name, shape in built["modalities"].items()
        ),
        ("latent dimensions", str(built["latent_dim"])),
        ("parameters", f"{built['parameters']:,}"),
        ("steps in all", f"{built['steps']:,}"),
        ("first step", f"{terms} (nats per item)"),
    ]
    echo(columns(rows))
    echo("OK: one step worked, and a checkpoint was saved and restored; nothing was kept.")
