"""``mmvae embed``: write the joint representation of items."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.items import items_arguments, load_items, report_unused
from mmvae.cli.options import example, json_option, print_json, say
from mmvae.cli.outputs import refuse_output


@click.command(
    epilog=example(
        "mmvae embed runs/short test --out test.parquet",
        "mmvae embed runs/short photos.parquet --given image --out photos.npz",
        "mmvae embed runs/short test --out test.parquet --json",
    )
)
@items_arguments
@json_option
def command(run: Path, data: str, out: Path, given: tuple[str, ...] | None, as_json: bool) -> None:
    """Write the joint representation z of the items in DATA: the mean of their posterior.

    DATA is train, validation or test, a split of RUN's own data, or a Parquet, Arrow, CSV or
    JSON-lines file whose columns are named after the modalities. Modalities without a column
    are missing, as are those that a single item lacks. An item without any modality gets the
    mean of the prior. The table has the columns id, z_000, z_001, …; an .npz has the arrays id
    and z. The id of an item is that of the column "id" of a file or of RUN's own table, if no
    modality reads it, or else the row, from 0.
    """
    from mmvae.data.output_tables import write_table
    from mmvae.experiments.train import load

    refuse_output(out, run, [data])
    model = load(run)
    items = load_items(model, run, data)
    report_unused(model, items, data, given)
    z, blank = model.embed(items, given), int(model.blank(items, given).sum())
    write_table(out, {"id": items.ids, "z": z}, spread=True)
    if as_json:
        looked_at = list(model.names(items, given))
        statistics = {"items": len(z), "dimensions": z.shape[1]}
        if blank:
            statistics["from the prior"] = blank
        print_json({"modalities": looked_at, **statistics, "out": str(out)})
        return
    say(f"Wrote {out}: {len(z)} items, {z.shape[1]} dimensions")
    if blank:
        say(f"{blank} items have no modality: their z is the mean of the prior.")
