"""What is written is read back: by any codec, in files of every kind that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmvae_attributes import SignedAttributes
from mmvae_images import BernoulliImage
from mmvae_labels import Categorical
from mmvae_text import Text
from mmvae_vectors import Vector

import mmvae
from mmvae import Codec, Column
from mmvae.cli import main
from mmvae.data.columns import table_split
from mmvae.data.file_formats import open_stream
from mmvae.data.output_tables import plain, write_table
from mmvae.data.table_reader import read_table
from mmvae.foundations.errors import DataError
from odd.conftest import LABEL, VECTOR, Train
from odd.tables import write

ENDINGS = (".csv", ".jsonl", ".parquet")

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(path: Path, values: Any) -> None:
    """Check that a column is read as it was written."""
    write_table(path, {"a": values})
    (rows,) = open_stream(path).chunks(1000)
    assert rows.values("a") == (values.tolist() if isinstance(values, np.ndarray) else values)


@pytest.mark.parametrize("ending", ENDINGS)
@quick
@given(st.lists(st.lists(finite, min_size=2, max_size=2), min_size=1, max_size=4))
def test_vectors_are_one_column_of_lists(folder: Path, ending: str, rows: list[Any]) -> None:
    same(folder / f"t{ending}", np.array(rows, np.float64))
    same(folder / f"t{ending}", np.array(rows, np.float64)[:, :1].reshape(-1, 1, 1))


@pytest.mark.parametrize("ending", ENDINGS)
@quick
@given(st.lists(words, min_size=1, max_size=4))
def test_texts(folder: Path, ending: str, found: list[str]) -> None:
    """Of which kind they are, is told by the text that no number, list or truth value is."""
    same(folder / f"t{ending}", [*found, "text"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_empty_text_is_written_where_it_can_be_told_from_none(
    folder: Path, ending: str
) -> None:
    if ending == ".csv":
        with pytest.raises(DataError, match=r"column 'a': an empty text .* Parquet or JSON lines"):
            write_table(folder / "t.csv", {"a": ["", "b"]})
    else:
        same(folder / f"t{ending}", ["", "b"])


CODECS: list[tuple[type[Codec], Any]] = [
    (Categorical, Column(["1", "07", "None", "a b"])),
    (Categorical, Column([3, 1, 7, 7])),
    (Categorical, Column([True, False, True, True])),
    (Vector, Column(np.array([[1.5, -2.0], [0.1, 1e-30], [3.0, 4.0], [1 / 3, 7.0]]))),
    (Vector, Column(np.array([1.0, 2.0, -3.0, 1e10]))),
    (SignedAttributes, Column(np.array([[1, -1], [-1, -1], [1, 1], [-1, 1]]))),
    (Text, Column(["007", "NA", 'a "quoted", text', "1"])),
    (BernoulliImage, Column(np.arange(48, dtype=np.uint8).reshape(4, 3, 4))),
    (BernoulliImage, Column(np.random.default_rng(0).random((4, 3, 4), np.float32))),
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("kind", "column"), CODECS)
def test_every_codec_takes_its_own_values_back(
    folder: Path, ending: str, kind: type[Codec], column: Column
) -> None:
    codec = kind(kind.Config(), kind(kind.Config()).fit(column))
    x = codec.to_input(codec.prepare(column)[0])
    path = folder / f"t{ending}"
    write_table(path, {"a": plain(codec.restore(x).values)})
    from mmvae.data.columns import column_type

    read = read_table([path], {"a": column_type(column)})
    found = table_split(read.table, str(path), read.types).columns["a"].read()
    torch.testing.assert_close(codec.to_input(codec.prepare(found)[0]), x)


def test_score_takes_what_generate_wrote(train: Train, folder: Path, capsys: Any) -> None:
    import json

    n = 40
    columns = {
        "v": [[i / n, -i / n, 1.0] for i in range(n)],
        "x": [i / 7 for i in range(n)],
        "label": [["07", "None"][i % 2] for i in range(n)],
    }
    run = train(write(folder / "t.parquet", columns), v=VECTOR, x=VECTOR, label=LABEL)
    scores = []
    for ending in ENDINGS:
        out = f"g{ending}"
        assert main.run(["generate", str(run), "--count", "5", "--out", out]) == 0
        capsys.readouterr()
        assert main.run(["score", str(run), out, "--out", "s.csv", "--json"]) == 0
        said = capsys.readouterr()
        figures = json.loads(said.out)
        assert figures["modalities"] == ["v", "x", "label"]
        assert figures["items"] == 5
        assert "no column" not in said.err
        scores.append(figures["mean"])
    assert scores[0] == pytest.approx(scores[1]) == pytest.approx(scores[2])
    mmvae.load(run)  # and says what it does not use
    write(folder / "few.csv", {"label": ["07", "None"], "vv": [1, 2]})
    assert main.run(["score", str(run), "few.csv", "--out", "s.csv"]) == 0
    said = capsys.readouterr().err
    assert "few.csv: no column for v, x, so this is of label; not used: vv" in said
