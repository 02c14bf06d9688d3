"""``mmvae config``: show, check and document configurations."""

from __future__ import annotations

import json
from pathlib import Path

import click

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
from mmvae.foundations import storage
from mmvae.foundations.errors import UsageError
from mmvae.foundations.toml import dotted, flatten, literal


@click.group(epilog=example("mmvae config check examples/digits.toml"))
def command() -> None:
    """Show, check and document configurations."""


@command.command(epilog=example("mmvae config show examples/digits.toml -s train.epochs=5"))
@config_argument
@set_option
@json_option
def show(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show every key of CONFIG with its value and where it comes from."""
    from mmvae.experiments.config import load_experiment

    loaded = load_experiment(config, overrides)
    values = {dotted(path): value for path, value in flatten(loaded.values).items()}
    if as_json:
        keys = {k: {"value": v, "origin": loaded.origins[k]} for k, v in values.items()}
        print_json({"config": loaded.source, "hash": loaded.hash, "values": keys})
        return
    rows = [
        (key, "(unset)" if value is None else literal(value), loaded.origins[key])
        for key, value in values.items()
    ]
    echo(columns(rows))


@command.command(epilog=example("mmvae config check examples/digits.toml"))
@config_argument
@set_option
@json_option
def check(config: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check CONFIG and report every mistake in it; exit code 2 if there is one."""
    from mmvae.experiments.config import load_experiment

    loaded = load_experiment(config, overrides)
    experiment = loaded.experiment
    if as_json:
        print_json({"config": loaded.source, "ok": True, "hash": loaded.hash})
        return
    modalities = ", ".join(f"{name} ({m.codec})" for name, m in experiment.modalities.items())
    echo(
        f"OK {loaded.source}: model {experiment.model.kind} of {modalities}; "
        f"data from {experiment.data.source}"
    )


@command.command(epilog=example("mmvae config schema --out mmvae.schema.json"))
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of configurations, for editors.

    It covers the installed plugins. Editors use it when a file's first line is
    `#:schema mmvae.schema.json`.
    """
    from mmvae.experiments.config_schema import json_schema
    from mmvae.plugins.loader import load_registry

    text = json.dumps(json_schema(load_registry()), indent=2, ensure_ascii=False)
    if out is None:
        echo(text)
        return
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first.")
    storage.write_text(out, text + "\n")
    say(f"Wrote {out}")
