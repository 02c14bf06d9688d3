"""``mmvae retrieve``: find the nearest items across modalities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmvae.cli.items import Names, TableFile, load_items
from mmvae.cli.options import echo, example, json_option, print_json, say
from mmvae.cli.outputs import refuse_output

if TYPE_CHECKING:
    from mmvae.inference.retrieval import Found


@click.command(
    epilog=example(
        "mmvae retrieve runs/short test --query image --from text --out found.parquet",
        "mmvae retrieve runs/short mine.parquet --query text --from image --among train "
        "--count 3 --out found.jsonl",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA")
@click.option(
    "--query", type=Names(), required=True, metavar="A,B", help="Modalities of the query items."
)
@click.option(
    "--from",
    "source",
    type=Names(),
    required=True,
    metavar="C,D",
    help="Modalities of the candidates.",
)
@click.option("--among", metavar="OTHER", help="Candidates: a split or a file; DATA unless given.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of candidates to find for each item.",
)
@click.option(
    "--out",
    type=TableFile(),
    metavar="FILE",
    help="Where to write the results: .parquet, .csv, .jsonl or .npz.",
)
@json_option
def command(
    run: Path,
    data: str,
    query: tuple[str, ...],
    source: tuple[str, ...],
    among: str | None,
    count: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find for each item of DATA the nearest ones across modalities, by the joint latent.

    A query item is represented by the mean of the posterior of its --query modalities, a
    candidate by that of its --from modalities. The search is exact. DATA and OTHER are train,
    validation or test, splits of RUN's own data, or files. The table has the columns id, rank,
    found and distance.

    If the candidates are DATA's own items, recall@k is the share of items that are among their
    own k nearest candidates, by other modalities.
    """
    from mmvae.data.output_tables import write_table
    from mmvae.experiments.train import load
    from mmvae.inference.retrieval import retrieve

    if out is not None:
        refuse_output(out, run, [data, among])
    model = load(run)
    gallery = None if among is None else load_items(model, run, among)
    items = load_items(model, run, data)
    found = retrieve(model, items, query, source, count, gallery)
    if len(found.queries) < len(items):
        say(f"{len(items) - len(found.queries)} of {len(items)} items lack {', '.join(query)}")
    if out is not None:
        write_table(out, table(found))
        say(f"Wrote {out}: {found.ids.shape[1]} for each of {len(found.queries)} items")
    statistics = found.figures()
    if as_json:
        counts = {"queries": len(found.queries), "candidates": found.candidates}
        print_json({**counts, **statistics, "out": None if out is None else str(out)})
    elif statistics:
        echo(sentence(found, statistics))


def table(found: Found) -> dict[str, object]:
    """The result as a table, a row for each pair of item and candidate."""
    n, k = found.ids.shape
    return {
        "id": found.queries.repeat(k),
        "rank": [rank + 1 for rank in range(k)] * n,
        "found": found.ids.reshape(-1),
        "distance": found.distances.reshape(-1),
    }


def sentence(found: Found, statistics: dict[str, float]) -> str:
    """The statistics as a sentence, with the values by chance."""
    shares = [
        f"{name} {100 * value:.1f} %"
        for name, value in statistics.items()
        if name != "median rank"
    ]
    chance = 100 / found.candidates
    return (
        f"{', '.join(shares)}, median rank {statistics['median rank']:g} of {found.candidates:,} "
        f"(by chance: recall@1 {chance:.2g} %, median rank {(found.candidates + 1) / 2:g})"
    )
