"""Labels keep their identity: any labels, in files of any kind, come back in their own kind."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from mmvae_labels import Categorical

import mmvae
import mmvae.data.folder
import mmvae.data.table
from mmvae import Column, UnsupportedValue
from mmvae.cli import main
from mmvae.data.columns import column_type
from mmvae.data.dataset import fitted
from mmvae.data.file_formats import open_stream
from mmvae.data.file_formats.table_stream import Types
from mmvae.data.in_memory import as_column
from mmvae.data.source import Split
from mmvae.experiments.build import build_model, recipes
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import DataError
from mmvae.inference.model_folder import load_model, save_model
from mmvae.inference.table_imputation import impute_table
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column_type import NULL_WORDS, ColumnType
from mmvae.modalities.names import is_name
from mmvae.plugins.loader import load_registry
from odd.conftest import LABEL, VECTOR, Train
from odd.tables import read, write

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow")

ODD = (
    *("0", "1", "2", "00", "007", "7", "-1", "+1", "1.0", "1.10", "1e5", "1E5", "0_1", "18_24"),
    *("None", "NA", "nan", "null", "n/a", "True", "False", "TRUE", "true", "inf", "9" * 20),
    *(
        "a b",
        " a",
        "a ",
        "a,b",
        'a"b',
        '"',
        "a\nb",
        "a\r\nb",
        "a\tb",
        "é",
        "e\u0301",
        "日本",
        "１",
    ),
    *("[1]", "{}", "2020-01-02", "=1+1", "#", ";", "\\", "'", "a|b", "-", "?", "."),
)
"""Labels that one reader or another has taken for something else."""

texts = st.sampled_from(ODD) | st.text("0123456789+-._eE\"',;[] \t\r\nTruFalsNné", min_size=1)
labels = (
    st.lists(texts, min_size=1, max_size=5, unique=True)
    | st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5, unique=True)
    | st.lists(st.booleans(), min_size=2, max_size=2, unique=True)
)
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def learned(path: Path, types: Types | None = None) -> tuple[Categorical, ColumnType]:
    """The codec that the labels of a file give, and how its column was read."""
    stream = open_stream(path, types)
    column = Column([v for rows in stream.chunks(5) for v in rows.values("label")])
    column = Column([v for v in column.values if v is not None], type=stream.types["label"])
    config = Categorical.Config()
    return Categorical(config, Categorical(config).fit(column)), column_type(column)


def refilled(path: Path, codec: Categorical, kind: ColumnType) -> list[Any]:
    """What is read of a file after each class in its turn filled a row that lacks its label."""
    import torch

    stream, out = open_stream(path, {"label": kind}), path.with_name(f"out{path.suffix}")
    values = codec.restore(torch.eye(len(codec.classes))).values.tolist()
    with stream.writer(out, {"label": pa.string()}, {}) as writer:
        places = itertools.count()
        for rows in stream.chunks(5):
            gaps = [i for i, v in enumerate(rows.values("label")) if v is None]
            writer.write(rows, {"label": {i: values[next(places)] for i in gaps}}, {})
    again = open_stream(out, {"label": ColumnType(kind.kind, frozenset())})
    assert None not in [v for rows in again.chunks(9) for v in rows.values("label")]
    return read(out)["label"]


@pytest.mark.parametrize("ending", ENDINGS)
@quick
@given(labels)
@example(["1", "2", "3"])
@example(["None", "NA", "é"])
@example(["0_1", "18_24"])
@example(["1e3", "2e3"])
@example(["1e5", "1E5"])
@example(["1.0", "2.0"])
@example(["+1", "-0"])
@example([1, 2, 3])
@example([False, True])
def test_what_is_filled_is_a_label_as_it_was_written(
    folder: Path, ending: str, found: list[Any]
) -> None:
    """Of n labels a table has each once, then n rows without; these get each of them again."""
    path = write(folder / f"t{ending}", {"label": [*found, *[None] * len(found)]})
    types: Types = {}
    try:
        codec, kind = learned(path)
    except UnsupportedValue:  # fractions, and lists of numbers, unless they are declared texts
        assume(isinstance(found[0], str) and ending in (".csv", ".tsv"))
        types = {"label": ColumnType("text", NULL_WORDS)}
        codec, kind = learned(path, types)
    after = refilled(path, codec, kind)
    assert sorted(after[: len(found)], key=repr) == sorted(after[len(found) :], key=repr)
    if ending not in (".csv", ".tsv"):
        assert after[: len(found)] == found


@quick
@example(["0", "[1]"], ".csv")
@given(st.lists(texts, min_size=2, max_size=5, unique=True), st.sampled_from(ENDINGS))
def test_a_file_with_some_of_the_labels_is_read_as_the_file_of_the_training(
    folder: Path, found: Sequence[str], ending: str
) -> None:
    """The rest may look like numbers, truth values or nothing at all."""
    codec, kind = learned(write(folder / "all.parquet", {"label": found}))
    for few in (found[:1], found[1:]):
        path = write(folder / f"few{ending}", {"label": few})
        stream = open_stream(path, {"label": kind})
        values = [v for rows in stream.chunks(9) for v in rows.values("label")]
        assert values == list(few)
        codec.prepare(Column(values))


def saved_and_loaded(column: Column, codec: str, folder: Path) -> TrainedModel:
    """A model with a codec that is fitted as a training does it, saved and loaded again."""
    registry = load_registry()
    table = {"codec": codec, "encoder": [2], "decoder": [2]}
    config = {"data": {"source": "memory"}, "modalities": {"y": table}}
    experiment = load_experiment({**config, "model": {"latent_dim": 1}}, (), registry).experiment
    recipe = recipes(experiment, registry)["y"]
    codecs = {"y": fitted("y", *recipe, Split({"y": column}, range(len(column))), "y")}
    model = build_model(experiment, registry, codecs)
    save_model(folder / "model", model, model.state_dict(), 1)
    return load_model(folder / "model", registry)


odd_names = st.sampled_from(["", "\ud800", "a\udfff", " ", "\0", "\n"])
anything = st.text(max_size=3) | odd_names


@quick
@given(st.lists(anything, min_size=1, max_size=4))
@example(["", "b"])
@example(["\ud800"])
def test_any_labels_are_refused_or_saved_and_loaded(folder: Path, found: list[str]) -> None:
    if all(map(is_name, found)):
        model = saved_and_loaded(Column(found), "categorical", folder)
        assert model.codecs["y"].classes == tuple(sorted(set(found)))
        return
    told = r"got (the empty text as a label|label .* \(half a character\)), expected a name"
    with pytest.raises(DataError, match=told):
        saved_and_loaded(Column(found), "categorical", folder)


@pytest.mark.parametrize("codec", ["categorical", "signed-attributes", "vector"])
@quick
@given(st.lists(anything, min_size=2, max_size=2))
@example(["a", ""])
@example(["a", "a"])
@example(["\ud800", "a"])
def test_any_names_of_a_source_are_refused_or_saved_and_loaded(
    folder: Path, codec: str, names: list[str]
) -> None:
    values = np.array([1, 0] if codec == "categorical" else [[1, -1], [-1, 1]])
    column = Column(values, names=tuple(names))
    if all(map(is_name, names)) and len(set(names)) == 2:
        fit = saved_and_loaded(column, codec, folder).codecs["y"]
        assert (fit.classes or tuple(fit.state["names"])) == tuple(names)
        return
    with pytest.raises(DataError, match="expected valid texts that are not empty, each once"):
        saved_and_loaded(column, codec, folder)


@pytest.mark.parametrize("label", ["", "\ud800"])
def test_a_training_refuses_a_label_before_it_makes_a_run(folder: Path, label: str) -> None:
    items = {"x": np.arange(60.0), "y": [label if i == 7 else "b" for i in range(60)]}
    config = {"modalities": {"x": VECTOR, "y": LABEL}, "data": {"validation": 0, "test": 0}}
    config["data"] |= {"source": "memory"}
    with pytest.raises(DataError, match=r"item 7, modality 'y': got .* expected a name"):
        mmvae.train(config, items)
    assert not (folder / "runs").exists()


def test_the_commands_refuse_an_empty_label_alike(folder: Path, capsys: Any) -> None:
    write(folder / "t.parquet", {"x": [1.0, 2.0] * 30, "y": ["b", ""] * 30})
    (folder / "c.toml").write_text(
        "[data]\nsource = 'table'\npath = 't.parquet'\nvalidation = 0\ntest = 0\n"
        "[modalities.x]\ncodec = 'vector'\n[modalities.y]\ncodec = 'categorical'\n"
    )
    for line in (
        ["data", "check", "c.toml"],
        ["train", "c.toml", "--dry-run"],
        ["train", "c.toml"],
    ):
        assert main.run(line) != 0
        said = " ".join("".join(capsys.readouterr()).split())
        assert "t.parquet, column 'y': item 1, modality 'y': got the empty text as a label" in said
    assert not (folder / "runs").exists()


def test_labels_that_look_the_same_are_remarked(folder: Path, capsys: Any) -> None:
    found = ["a", "a ", "a\u200b", "\xe4", "a\u0308"]
    write(
        folder / "t.csv",
        {"x": [i / 7 for i in range(100)], "y": [found[i % 5] for i in range(100)]},
    )
    (folder / "c.toml").write_text(
        "[data]\nsource = 'table'\npath = 't.csv'\n[modalities.x]\ncodec = 'vector'\n"
        "[modalities.y]\ncodec = 'categorical'\n[train]\nepochs = 1\n"
    )
    told = [
        r"the classes 'a', 'a ', 'a\u200b' look the same, but are treated as 3",
        r"the classes 'a\u0308', '\xe4' look the same, but are treated as 2",
    ]
    assert main.run(["data", "check", "c.toml"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert all(phrase in said for phrase in told)
    assert main.run(["train", "c.toml", "--run-dir", "run", "--max-steps", "1"]) == 0
    log = (folder / "run" / "log.txt").read_text("utf-8")
    assert all(f"Modality 'y': {phrase}" in log for phrase in told)
    capsys.readouterr()
    assert main.run(["generate", "run", "--given", "y=A\u0308".lower() + " ", "--to", "x"]) == 0
    assert main.run(["generate", "run", "--given", "y=\u00a0\xe4\u200b", "--to", "x"]) == 2
    assert "Did you mean" in capsys.readouterr().err


def table(found: Sequence[Any], n: int = 60) -> dict[str, list[Any]]:
    """A number that tells the label, and the label, of which each fifth is missing."""
    codes = [i % len(found) for i in range(n)]
    named = [None if i % 5 == 0 else found[code] for i, code in enumerate(codes)]
    return {"x": [2.0 * code + i / 100 for i, code in enumerate(codes)], "label": named}


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize(
    "found", [["1", "2", "3", "?"], ["007", "7"], ["None", "NA"], [True, False], [1, 2, 3]]
)
def test_train_then_impute_gives_the_labels(
    train: Train, folder: Path, ending: str, found: list[Any]
) -> None:
    given = table(found)
    run = train(write(folder / f"t{ending}", given), x=VECTOR, label=LABEL)
    trained = mmvae.load(run)
    assert sorted(trained.codecs["label"].classes or ()) == sorted(map(str, found))
    few = {name: values[:20] for name, values in given.items()}
    few["label"] = [v if v == found[0] else None for v in few["label"]]  # and none of the others
    for other in {".csv", ending}:
        done = impute_table(trained, write(folder / f"few{other}", few), folder / f"out{other}")
        assert done.rows == 20
        kept = [str(v) if other == ".csv" and v is not None else v for v in few["label"]]
        wanted = {str(v) if other == ".csv" else v for v in found}
        filled = read(folder / f"out{other}")["label"]
        assert [v for v, was in zip(filled, kept, strict=True) if was is not None] == [
            v for v in kept if v is not None
        ]
        assert set(filled) <= wanted
        assert {type(v) for v in filled} == {type(v) for v in wanted}
        (folder / f"out{other}").unlink()


def test_a_label_of_truth_values_is_given_as_one(train: Train, folder: Path, capsys: Any) -> None:
    run = train(write(folder / "t.csv", table([True, False])), x=VECTOR, label=LABEL)
    for word in ("True", "false"):
        assert main.run(["generate", str(run), "--given", f"label={word}", "--to", "x"]) == 0
    model = mmvae.load(run)
    both = model.generate(given={"label": [True, False]}, to="x", temperature=0)["x"]
    one = model.generate(given={"label": True}, to="x", temperature=0)["x"]
    assert one[0] == both[0] != both[1]


def test_a_category_called_none_is_told_or_kept(folder: Path, train: Train) -> None:
    path = folder / "t.csv"
    path.write_text("x,veneer\n" + "1,None\n2,Brick\n3,Stone\n" * 10)
    source = mmvae.data.table.TableSource(mmvae.data.table.TableConfig(path=str(path)))
    (doubt,) = source.doubts()
    assert "column 'veneer': 10 cells read 'None', taken as missing" in doubt
    assert 'data.types.veneer = "text"' in doubt
    run = train(path, {"types": {"veneer": "text"}}, x=VECTOR, veneer=LABEL)
    assert mmvae.load(run).codecs["veneer"].classes == ("Brick", "None", "Stone")


def test_a_run_remembers_that_none_is_a_label(train: Train, folder: Path) -> None:
    """It was trained on a file that says so; a CSV file cannot, unless it quotes the word."""
    run = train(write(folder / "t.parquet", table(["None", "Brick"])), x=VECTOR, label=LABEL)
    (folder / "few.csv").write_text("x,label\n1,None\n1,\n1,NA\n")
    done = impute_table(mmvae.load(run), folder / "few.csv", folder / "out.csv")
    assert done.values == {"x": 0, "label": 2}
    assert read(folder / "out.csv")["label"][0] == "None"


def test_codes_of_named_classes_go_by_the_names_of_each_file(train: Train, folder: Path) -> None:
    import datasets
    import pyarrow.parquet as pq

    def labelled(path: Path, names: list[str], codes: list[Any], x: Any = None) -> Path:
        features = datasets.Features(
            {"x": datasets.Value("float64"), "label": datasets.ClassLabel(names=names)}
        )
        x = x or [float("ab".index(names[c])) if c is not None else 1.0 for c in codes]
        datasets.Dataset.from_dict({"x": x, "label": codes}, features).to_parquet(str(path))
        return path

    run = train(labelled(folder / "t.parquet", ["a", "b"], [0, 1] * 30), x=VECTOR, label=LABEL)
    trained = mmvae.load(run)
    other = labelled(folder / "o.parquet", ["b", "a"], [0, 1, 1, 0, None])
    impute_table(trained, other, folder / "f.parquet")
    assert pq.read_table(folder / "f.parquet")["label"].to_pylist()[:4] == [0, 1, 1, 0]
    rows = open_stream(other, trained.types)
    assert rows.labels("label") == ("b", "a")
    strange = labelled(folder / "s.parquet", ["B", "A"], [0, 1], x=[1.0, 0.0])
    items = mmvae.data.table.load_tables(str(strange), types=trained.types)["train"]
    with pytest.raises(
        DataError, match="item 0, modality 'label': got label 'B', expected one of a"
    ):
        trained.score(items)


@pytest.mark.parametrize("found", [["0", "1", "?"], ["None", "0", "1"], [False, True], [0, 1]])
def test_codes_are_names_also_for_a_model_of_texts_or_truth_values(
    folder: Path, found: list[Any]
) -> None:
    import datasets

    codec, kind = learned(write(folder / "t.parquet", {"label": found}))
    for names in (["1", "0"], ["True", "False"], ["b", "a"]):
        features = datasets.Features({"label": datasets.ClassLabel(names=names)})
        datasets.Dataset.from_dict({"label": [0, 1]}, features).to_parquet("o.parquet")
        column = mmvae.data.table.load_tables("o.parquet", types={"label": kind})["train"]
        values = column.columns["label"].read()
        if set(names) <= set(codec.classes):
            x, _ = codec.prepare(values)
            assert [codec.classes[k] for k in x.argmax(1)] == names
        else:
            with pytest.raises(UnsupportedValue, match=f"label '{names[0]}', expected one of"):
                codec.prepare(values)


def test_a_folder_reads_the_table_of_each_split_as_that_of_the_training(folder: Path) -> None:
    for split, found in (("train", ["1.0", "2.0", "?"]), ("test", ["1.0", "2.0", None])):
        (folder / "d" / split).mkdir(parents=True)
        items = [str(i) for i in range(30)]
        write(folder / "d" / split / "t.csv", {"id": items, "label": found * 10})
    config = mmvae.data.folder.FolderConfig(path=str(folder / "d"), validation=0)
    splits = mmvae.data.folder.FolderSource(config).splits()
    codec = Categorical(Categorical.Config(), {"classes": ["1.0", "2.0", "?"], "named": True})
    x, _ = codec.prepare(splits["test"].columns["label"].without_missing().read())
    assert x.argmax(1).tolist() == [0, 1] * 10


@pytest.mark.parametrize(
    ("labels", "typed"),
    [
        ([1, 2, 10], ["1", "01", "1.0", "1e0", " 1 ", "+1", "1.5", "1x", "one", "10.0"]),
        ([1.0, 2.0], ["1", "01", "1.0", "2e0", "1.5"]),
        ([True, False], ["true", "TRUE", "1", "0.0", "0", "2", "yes"]),
        (["01", "1", "x"], ["01", "1", "1.0", "001"]),
    ],
)
def test_a_typed_label_means_what_it_means_in_a_file(
    train: Train, folder: Path, labels: list[Any], typed: list[str]
) -> None:
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=60).tolist(), "label": (labels * 60)[:60]}
    model = load_model(train(write(folder / "t.jsonl", columns), x=VECTOR, label=LABEL))
    codec = model.codecs["label"]
    for text in typed:
        found = []
        path = folder / "cells.csv"
        path.write_text(f'x,label\n0,"{text}"\n0,"{text}"\n', "utf-8")
        try:
            (rows,) = open_stream(path, model.types).chunks(10)
            column = as_column(rows.values("label"), "a file")
            found.append(codec.condition(column)[0].tolist())
        except (DataError, UnsupportedValue):
            found.append(None)
        try:
            found.append(model.condition("label", text)[0].tolist())
        except DataError:
            found.append(None)
        assert found[0] == found[1], text
