"""The items of a command: a split of a run's own data, or a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmvae.cli.options import say
from mmvae.data.split_names import SPLITS
from mmvae.foundations import storage
from mmvae.foundations.errors import DataError
from mmvae.foundations.toml_document import read

if TYPE_CHECKING:
    from mmvae.data.size_bounds import Bounds
    from mmvae.data.source import Split
    from mmvae.inference.trained_model import TrainedModel
    from mmvae.runs.run import Run


ROW_NUMBERS = "the ids in the output are row numbers, from 0."

F = TypeVar("F", bound=Callable[..., Any])


class TableFile(click.ParamType[Path]):
    """A file to write a table to, refused at once if it cannot be written."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Path:
        """Check ending and folder."""
        from mmvae.data.output_tables import check_output

        path = storage.named_path(str(value), "--out")
        check_output(path)
        return path


def items_arguments(command: F) -> F:
    """Add ``RUN DATA --out FILE --given a,b``."""
    given = click.option(
        "--given",
        type=Names(),
        metavar="A,B",
        help="Use only these modalities; unless given, all that DATA has.",
    )
    out = click.option(
        "--out",
        required=True,
        type=TableFile(),
        metavar="FILE",
        help="Output file: .parquet, .csv, .jsonl or .npz.",
    )
    data = click.argument("data", metavar="DATA")
    run = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
    return run(data(out(given(command))))


class Names(click.ParamType[Any]):
    """Names separated by commas, passed on as a tuple."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        """Split at the commas."""
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in value.split(",") if name.strip())


def load_items(model: TrainedModel, run: Path, data: str) -> Split:
    """The items that ``DATA`` names.

    Args:
        model: The run's model, which defines the types of a file's columns.
        run: The run's folder.
        data: ``train``, ``validation`` or ``test``, a split of the run's own data; or a file.

    Raises:
        DataError: There is no such split or file, or it cannot be read.
        RunError: A split is requested, but there is no run to take it from.
    """
    from mmvae.data.paths import place, tried
    from mmvae.data.table import load_tables
    from mmvae.runs.run import Run

    if data in SPLITS:
        return with_own_ids(run_split(Run.open(run), data), model, data)
    if not os.path.isfile(place(data)):
        raise DataError(
            f"DATA = {data!r} is neither a split ({', '.join(SPLITS)}) nor a file{tried(data)}. "
            f"Expected a Parquet, Arrow, CSV or JSON-lines file with columns named as the "
            f"modalities."
        )
    items = load_tables(data, types=model.types, bounds=run_bounds(run))["train"]
    return with_own_ids(items, model, data)


def with_own_ids(items: Split, model: TrainedModel, data: str) -> Split:
    """Items that are numbered rows with the ids of their column ``id``, if it names each of them.

    If it does not, or names several alike, this is reported.
    """
    import numpy as np

    from mmvae.data.columns import type_of

    column, used = items.columns.get("id"), (*model.modalities, *model.columns.values())
    if column is None or "id" in used or np.asarray(items.ids).dtype.kind not in "iu":
        return items
    kind = column.type or type_of(column.without_missing())
    if kind.kind in ("list", "picture", "other"):
        say(f"{data}: the column 'id' holds no texts or numbers, so {ROW_NUMBERS}")
        return items
    found = list(column.read().values)
    present = np.ones(len(found), bool) if column.present is None else column.present
    lacking = [k for k, id_ in enumerate(found) if not present[k] or id_ == ""]
    if lacking:
        more = f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""
        say(f"{data}: the column 'id' has no value in row {lacking[0]}{more}, so {ROW_NUMBERS}")
        return items
    (id_, count), *_ = Counter(found).most_common(1) or [("", 0)]
    if count > 1:
        shared = len(found) - len(set(found))
        say(
            f"{data}: {count} rows have the id {str(id_)!r}; in all, {shared} rows have the id of "
            f"an earlier one. Make the ids different, or drop the column to get row numbers."
        )
    return replace(items, ids=column.read().values)


def run_bounds(run: Path) -> Bounds:
    """How much a table may hold, as the config of a run says; the default of a model alone.

    Raises:
        ConfigError: The config cannot be read.
    """
    from mmvae.data.declared_types import bounds_of
    from mmvae.data.size_bounds import Bounds

    config = run / "config.resolved.toml"
    if not config.is_file():
        return Bounds()
    data = read(config).table.get("data")
    return bounds_of(data if isinstance(data, Mapping) else {}, str(config))


def report_unused(
    model: TrainedModel, items: Split, data: str, given: tuple[str, ...] | None
) -> None:
    """Report the modalities without a column in ``DATA``, and its unused columns."""
    if given is None and (remark := model.unused(items)):
        say(f"{data}: {remark}")


def run_split(run: Run, name: str) -> Split:
    """A split of the data that a run was trained on."""
    from mmvae.experiments.build import open_source
    from mmvae.experiments.config import load_experiment
    from mmvae.plugins.loader import load_registry
    from mmvae.plugins.provenance import require_plugins

    registry = load_registry()
    require_plugins(run.plugins(), registry, run.folder)
    loaded = load_experiment(run.resolved, registry=registry)
    source = open_source(loaded.experiment, registry, received=loaded.received)
    splits = source.splits()
    for split, items in splits.items():
        if split == name:
            _remark_changes(run, source.fingerprint())
            return items
    raise DataError(
        f"The data of {run.folder} (source {source.kind!r}) have no split {name!r}; they have "
        f"{', '.join(splits)}. Name one of those, or a file."
    )


def _remark_changes(run: Run, fingerprint: str) -> None:
    if run.environment()["data"]["fingerprint"] != fingerprint:
        say(
            f"The data have changed since {run.folder} was trained: its splits may hold other "
            f"items now, also some that it was trained on."
        )
