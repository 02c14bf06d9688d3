"""Imputation of tables: every missing value filled, and columns that mark the imputed ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmvae.data.file_formats import open_stream
from mmvae.data.missing import presence
from mmvae.data.size_bounds import Bounds
from mmvae.foundations import staging
from mmvae.foundations.errors import UsageError
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.imputation import By, check_model, imputations
from mmvae.inference.sampling import CHUNK
from mmvae.inference.table_plan import Plan
from mmvae.inference.trained_model import TrainedModel


@dataclass
class Filled:
    """The summary of an imputed table.

    Attributes:
        rows: Number of rows.
        values: Modality → number of rows that lacked all of it.
        partly: Modality → number of rows that lacked some of its cells.
        nothing: Number of rows without any modality, imputed from the prior.
        without: Modalities without a column in the table.
    """

    rows: int
    values: dict[str, int]
    partly: dict[str, int]
    nothing: int = 0
    without: tuple[str, ...] = ()


@undisturbed()
def impute_table(
    trained: TrainedModel,
    path: Path,
    out: Path,
    by: By = "mode",
    seed: int = 0,
    progress: Progress | None = None,
    bounds: Bounds | None = None,
) -> Filled:
    """Write a copy of a table with every missing value imputed and marked.

    Rows keep their order, and columns that are no modalities are unchanged. Each modality with a
    column gets a new one, ``COLUMN_filled``: True if a row's value was imputed or, where a value
    is a list, the mask of its imputed cells. A row's result depends on its number and on ``seed``.

    Args:
        trained: The model.
        path: Parquet, Arrow, CSV, TSV or JSON lines, read in chunks.
        out: A file that does not exist, of the same ending.
        by: See :func:`imputations`.
        seed: Governs samples.
        progress: Shows how far the work is; default: nowhere.
        bounds: How much the table and its cells may hold.

    Raises:
        UsageError: The model cannot impute, ``out`` exists or has another ending, or the kind of
            table cannot hold the new values.
        DataError: The table cannot be read, has no column of a modality or has the name of a new
            one, or a codec refuses a value.
        TrainingError: The system refused to write.
    """
    shown = progress or NOBODY
    check_model(trained)
    check_out(path, out)
    stream = open_stream(path, trained.types, bounds)
    plan = Plan(trained, stream, out)
    done = Filled(0, dict.fromkeys(plan.columns, 0), dict.fromkeys(plan.columns, 0))
    done.without = tuple(m for m in trained.modalities if m not in plan.columns)
    with (
        staging.staged_file(out) as hidden,
        plan.pictures.staged() as pictures,
        stream.writer(hidden, plan.filled, plan.added) as writer,
    ):
        for rows in stream.chunks(CHUNK):
            shown.part("filling", done.rows, stream.total)
            items = plan.items(rows, done.rows)
            found = imputations(trained, items, by, seed, done.rows, tuple(plan.columns))
            values = {
                plan.columns[m]: plan.values(m, rows, done.rows, filled, pictures)
                for m, filled in found.items()
            }
            writer.write(rows, values, plan.marks(len(rows), found))
            done.rows += len(rows)
            for m, filled in found.items():
                whole = filled.cells.reshape(len(filled.rows), -1).all(1)
                done.values[m] += int(whole.sum())
                done.partly[m] += int((~whole).sum())
            done.nothing += int((~presence(items, plan.columns).any(1)).sum())
        shown.part("filling", done.rows, stream.total)
    plan.pictures.finish()
    return done


def check_out(path: Path, out: Path) -> None:
    """Refuse an output path that the table cannot be written to, before the work is done.

    Raises:
        UsageError: It exists, its folder does not, or it has another ending.
    """
    if out.suffix.lower() != path.suffix.lower():
        raise UsageError(
            f"--out {out}: the filled table is of the same kind as {path}; expected the ending "
            f"{path.suffix}."
        )
    if out.exists():
        raise UsageError(f"--out {out} exists already. Remove it, or choose another name.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first.")
