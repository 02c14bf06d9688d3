"""A row of a study: its configuration for training here, and for its stored results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmvae.experiments.config import LoadedConfig, load_experiment
from mmvae.experiments.study.study import Study
from mmvae.foundations import toml
from mmvae.foundations.errors import ConfigError, RunError
from mmvae.plugins.registry import Registry
from mmvae.runs.run import Run

PLACE = ("data", "root")
"""The only key for the place of files rather than their content, which a fingerprint covers."""


@dataclass(frozen=True)
class Row:
    """One row on one schedule.

    Attributes:
        name: Its file's name without the ending.
        loaded: Its configuration with all overrides.
        recorded: The same with ``data.root`` as in its file, so that the config is the same
            wherever the files are.
    """

    name: str
    loaded: LoadedConfig
    recorded: LoadedConfig

    def refuse_another(self, run: Run, registry: Registry) -> None:
        """Check that a run has this row's config, wherever its data are.

        Raises:
            RunError: It has another; the message names both hashes and the first difference.
        """
        own = self.placed(load_experiment(run.resolved, (), registry), registry)
        if own.hash == self.recorded.hash:
            return
        old, new = (
            # The order of the modalities must match too.
            toml.flatten(c.trained) | {("modalities",): list(c.values["modalities"])}
            for c in (own, self.recorded)
        )
        key = next(p for p in (*new, *old) if old.get(p) != new.get(p))
        raise RunError(
            f"{run.folder} is a run of another config, {own.hash}: {toml.dotted(key)} = "
            f"{toml.literal(old.get(key))}. Row {self.name!r} is {self.recorded.hash}, with "
            f"{toml.literal(new.get(key))}. Choose another --runs, or move that folder away."
        )

    def placed(self, config: LoadedConfig, registry: Registry) -> LoadedConfig:
        """The config with the data at the place that this row's file names."""
        values = toml.without_none(config.values)
        place = self.recorded.values["data"].get("root")
        if place is not None and "root" in values["data"]:
            values["data"]["root"] = place
        return load_experiment(values, (), registry)


def load_rows(
    study: Study,
    schedule: str | None,
    overrides: Sequence[str],
    only: Sequence[str],
    registry: Registry,
) -> list[Row]:
    """The rows of a study on one of its schedules.

    Args:
        study: The study.
        schedule: Name of the schedule; default: the first.
        overrides: ``key=value`` texts for every row, after those of the schedule.
        only: Names of rows; default: all.
        registry: The plugins to choose from.

    Raises:
        UsageError: There is no such schedule or row.
        ConfigError: A row's file or an override is wrong, or a row has no queries to evaluate.
        PluginError: A plugin that a row needs is broken.
    """
    name, config = study.schedule(schedule)
    chosen = study.chosen(name, only)
    elsewhere = [text for text in overrides if toml.parse_override(text)[0] != PLACE]
    rows = []
    for row in chosen:
        path = study.rows[row]
        try:
            loaded = load_experiment(path, [*config.set, *overrides], registry)
            recorded = load_experiment(path, [*config.set, *elsewhere], registry)
        except ConfigError as error:
            where = f"{study.path}: row {row!r} on schedule {name!r}"
            raise ConfigError(f"{where}: {error}") from None
        if not study.has_values(loaded.experiment.evaluate):
            origin = loaded.origins["evaluate.bounds"]
            raise ConfigError(
                f"{path if origin == 'default' else origin}: evaluate.bounds = []: row {row!r} of "
                f"{study.path} would have no values on schedule {name!r}; expected likelihood "
                f'queries, such as bounds = ["standard"].'
            )
        rows.append(Row(row, loaded, recorded))
    return rows
