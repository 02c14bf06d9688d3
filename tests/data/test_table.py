"""Tables by the ``datasets`` library: files, folders, and a folder laid out as on the Hub."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from odd.tables import read, write
from PIL import Image
from pydantic import ValidationError
from toys import NAMES, toy_items

from mmvae.data.columns import TableColumn
from mmvae.data.dataset import check_columns
from mmvae.data.file_formats import open_stream
from mmvae.data.table import TableConfig, TableSource, load_tables
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType

pytestmark = pytest.mark.usefixtures("cache")

N = 12
ITEMS = toy_items(N)


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (3, 2), shade).save(file, "PNG")
    return file.getvalue()


def hub_like(n: int = N) -> datasets.Dataset:
    """Pictures, class labels and vectors, typed as Hub data sets are."""
    return datasets.Dataset.from_dict(
        {
            "image": [{"bytes": png(i), "path": None} for i in range(n)],
            "c": ITEMS["c"][:n],
            "v": ITEMS["v"][:n],
        },
        features=datasets.Features(
            {
                "image": datasets.Image(),
                "c": datasets.ClassLabel(names=list(NAMES)),
                "v": datasets.List(datasets.Value("float32")),
            }
        ),
    )


def source(path: Path | str, **keys: Any) -> TableSource:
    return TableSource(TableConfig(path=str(path), **keys))


def whole(path: Path | str, **keys: Any) -> Any:
    return source(path, validation=0.0, test=0.0, **keys).splits()["train"]


# -- files ----------------------------------------------------------------------------------------


def test_parquet_as_on_the_hub(tmp_path: Path) -> None:
    hub_like().to_parquet(str(tmp_path / "t.parquet"))
    split = whole(tmp_path / "t.parquet").take([5, 1])
    image, c, v = (split.columns[name].read() for name in ("image", "c", "v"))
    assert [picture["bytes"] for picture in image.values] == [png(5), png(1)]  # still encoded
    assert c.names == NAMES
    assert c.values.tolist() == ITEMS["c"][[5, 1]].tolist()
    np.testing.assert_allclose(v.values, ITEMS["v"][[5, 1]])
    assert split.ids.tolist() == [5, 1]
    assert v.origin == f"{tmp_path / 't.parquet'}, column 'v'"


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("csv", "a,b\n1,x\n2,y\n3,z\n"),
        ("tsv", "a\tb\n1\tx\n2\ty\n3\tz\n"),
        ("jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n{"a": 3, "b": "z"}\n'),
        ("json", '[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]'),
    ],
)
def test_text_files(tmp_path: Path, ending: str, text: str) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_text(text)
    columns = whole(path).columns
    assert columns["a"].read().values.tolist() == [1, 2, 3]
    assert columns["b"].read().values == ["x", "y", "z"]


def test_arrow_file(tmp_path: Path) -> None:
    hub_like().save_to_disk(str(tmp_path / "saved"))
    (file,) = (tmp_path / "saved").glob("*.arrow")
    assert whole(file).columns["c"].names == NAMES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.parquet", b"no table", "magic bytes"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "line 3: 4 values, expected 2"),
        ("t.csv", b"", "no rows; expected at least one item"),
        ("t.csv", b"a,b\n", "no rows; expected at least one item"),
        ("t.jsonl", b"", "no rows; expected at least one item"),
        ("t.csv", b"a,b\n\xff\xfe,1\n", "can't decode byte 0xff"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "JSON"),
        ("t.arrow", b"xx", "cannot be read as a table: .*2 bytes"),
        ("t.xlsx", b"xx", "xlsx files are not read; save it as CSV"),
        ("t.csv.gz", b"xx", "gz files are not read; unpack it"),
        ("t.xyz", b"xx", r"unknown ending, expected one of .parquet, .arrow, .csv"),
    ],
)
def test_a_malformed_file_is_named_with_the_cause(
    tmp_path: Path, name: str, content: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        source(tmp_path / name).splits()
    assert str(tmp_path / name) in str(caught.value)
    assert "An error occurred" not in str(caught.value)
    assert capfd.readouterr().err == ""  # one message, and it is ours


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    hub_like().to_parquet(str(path))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read as a table"):
        source(path).splits()


@pytest.mark.parametrize("name", ["nowhere.parquet", "a/b/c/nowhere", "nowhere.csv"])
def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path: Path, name: str) -> None:
    for path in (str(tmp_path / name), name):
        with pytest.raises(DataError, match="no such file"):
            source(path).splits()


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        source(tmp_path / "empty").splits()


# -- folders and the Hub --------------------------------------------------------------------------


def test_a_folder_of_parquet_files_by_split(tmp_path: Path) -> None:
    hub_like(10).to_parquet(str(tmp_path / "train-00000-of-00002.parquet"))
    hub_like(2).to_parquet(str(tmp_path / "train-00001-of-00002.parquet"))
    hub_like(3).to_parquet(str(tmp_path / "test-00000-of-00001.parquet"))
    splits = source(tmp_path, validation=0.25).splits()
    assert {name: len(s) for name, s in splits.items()} == {"train": 9, "validation": 3, "test": 3}
    assert splits["test"].columns["c"].names == NAMES


def hub_folder(folder: Path) -> Path:
    """A repository as the Hub holds it: a card that names splits and configurations."""
    for name, n in (("plain", N), ("small", 3)):
        (folder / name).mkdir(parents=True)
        hub_like(n).to_parquet(str(folder / name / "fit-00000.parquet"))
        hub_like(2).to_parquet(str(folder / name / "held-00000.parquet"))
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {name}\n  data_files:\n"
            f"  - split: fit\n    path: {name}/fit-*\n  - split: held\n    path: {name}/held-*\n"
            for name in ("plain", "small")
        )
        + "---\n# Toys\n"
    )
    return folder


def test_a_folder_laid_out_as_on_the_hub(tmp_path: Path) -> None:
    folder = hub_folder(tmp_path / "hub")
    keys = {"configuration": "plain", "train": "fit", "test": "held", "validation": 0.25}
    splits = source(folder, **keys).splits()
    assert {name: len(s) for name, s in splits.items()} == {"train": 9, "validation": 3, "test": 2}
    small = source(folder, **keys | {"configuration": "small"}).splits()
    assert len(small["train"]) == 2
    with pytest.raises(DataError, match="plain"):
        source(folder, **keys | {"configuration": "plian"}).splits()
    with pytest.raises(DataError, match=r"splits fit, held, no 'train'.*data.train"):
        source(folder, configuration="plain").splits()
    with pytest.raises(DataError, match=r"data.test = 'hold'.*fit, held"):
        source(folder, **keys | {"test": "hold"}).splits()


def test_a_hub_id_without_network_is_a_quick_and_clear_error(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from mmvae.data.table import load_tables\n"
        "from mmvae.foundations.errors import DataError\n"
        "import datasets\n"
        "began = time.monotonic()\n"
        "try:\n"
        "    load_tables('nobody/toys')\n"
        "except DataError as error:\n"
        "    print(error)\n"
        "assert time.monotonic() - began < 10\n"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | offline,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout.startswith("nobody/toys: no such file or folder here, and the Hub")
    assert "network" in done.stdout
    assert done.stderr == ""


def test_an_explicit_share_wins_over_a_split_of_that_name(tmp_path: Path) -> None:
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    for name, n in (("train", 10), ("validation", 2), ("test", 3)):
        hub_like(n).to_parquet(str(tmp_path / f"{name}.parquet"))
        card += f"  - split: {name}\n    path: {name}.parquet\n"
    (tmp_path / "README.md").write_text(card + "---\n")

    def sizes(**keys: Any) -> dict[str, int]:
        return {name: len(s) for name, s in source(tmp_path, **keys).splits().items()}

    assert sizes() == {"train": 10, "validation": 2, "test": 3}
    assert sizes(test=0.3) == {"train": 7, "validation": 2, "test": 3}
    assert sizes(validation=0.4) == {"train": 6, "validation": 4, "test": 3}
    assert sizes(validation=0.0, test=0.0) == {"train": 10}


def test_splits_that_are_not_there_are_cut_by_a_tenth(table: Path) -> None:
    assert [len(s) for s in source(table).splits().values()] == [N - 2, 1, 1]


# -- splits by share ------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> Path:
    hub_like().to_parquet(str(tmp_path / "t.parquet"))
    return tmp_path / "t.parquet"


def test_shares_cut_a_table_by_seed(table: Path) -> None:
    splits = source(table, validation=0.25, test=0.25).splits()
    ids = [i for split in splits.values() for i in split.ids.tolist()]
    assert sorted(ids) == list(range(N))
    for split in splits.values():  # ids are rows of the file
        codes = split.columns["c"].read().values
        assert codes.tolist() == ITEMS["c"][split.ids].tolist()


def test_a_group_stays_together_and_a_stratum_is_spread(table: Path) -> None:
    splits = source(table, validation=0.25, test=0.25, group="c").splits()
    classes = [set(s.columns["c"].read().values.tolist()) for s in splits.values()]
    assert sum(map(len, classes)) == len(set(ITEMS["c"].tolist()))
    splits = source(table, validation=0.0, test=0.5, stratum="c").splits()
    counts = [np.bincount(s.columns["c"].read().values) for s in splits.values()]
    assert (abs(counts[0] - counts[1]) <= 1).all()


def test_named_splits_that_share_a_group_are_refused(tmp_path: Path) -> None:
    hub_like(4).to_parquet(str(tmp_path / "train.parquet"))
    hub_like(2).to_parquet(str(tmp_path / "test.parquet"))
    with pytest.raises(DataError, match=r"data.group = 'c': \d is in the splits train and test"):
        source(tmp_path, validation=0.0, group="c").splits()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_share_is_at_least_zero_and_below_one(name: str, share: float) -> None:
    with pytest.raises(ValidationError, match=name):
        TableConfig(path="t.csv", **{name: share})


def test_nothing_is_read_until_a_column_is(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read = TableColumn.read

    def counted(self: TableColumn) -> Any:
        reads.append(len(self))
        return read(self)

    monkeypatch.setattr(TableColumn, "read", counted)
    splits = source(table, validation=0.25, test=0.25).splits()
    some = splits["train"].take([0, 2]).take([1])
    assert len(some.columns["v"]) == 1
    assert reads == []
    row = splits["train"].ids[2]
    np.testing.assert_allclose(some.columns["v"].read().values, ITEMS["v"][[row]])
    assert reads == [1]


def test_no_rows_is_an_empty_column(table: Path) -> None:
    assert len(whole(table).take([]).columns["v"].read().values) == 0


def test_ragged_lists_and_gaps_stay_lists(tmp_path: Path) -> None:
    data = {"tokens": [[1, 2], [3], []], "gaps": [None, 1, 2], "tags": [["a"], ["b"], ["c"]]}
    datasets.Dataset.from_dict(data).to_parquet(str(tmp_path / "t.parquet"))
    split = whole(tmp_path / "t.parquet")
    assert {name: column.read().values for name, column in split.columns.items()} == data


def test_nulls_are_gaps_and_what_is_there_reads_as_if_they_were_not(tmp_path: Path) -> None:
    pictures = [{"bytes": png(i), "path": None} if i % 2 else None for i in range(6)]
    features = datasets.Features({"image": datasets.Image(), "n": datasets.Value("int64")})
    table = datasets.Dataset.from_dict({"image": pictures, "n": [0, None, 2, 3, 4, 5]}, features)
    table.to_parquet(str(tmp_path / "t.parquet"))
    image, n = whole(tmp_path / "t.parquet").columns.values()
    assert image.present.tolist() == [False, True] * 3
    assert [p["bytes"] for p in image.without_missing().read().values] == [png(1), png(3), png(5)]
    assert n.without_missing().read().values.tolist() == [0, 2, 3, 4, 5]
    (tmp_path / "t.csv").write_text("a,b\n1,x\n,y\n3,\n")
    a, b = whole(tmp_path / "t.csv").columns.values()
    assert (a.present.tolist(), b.present.tolist()) == ([True, False, True], [True, True, False])
    assert b.without_missing().read().values == ["x", "y"]


def test_a_picture_without_bytes_and_path_is_a_gap(tmp_path: Path) -> None:
    pictures = [{"bytes": png(i) if i else None, "path": None} for i in range(3)]
    features = datasets.Features(
        image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    )
    table = datasets.Dataset.from_dict({"image": pictures}, features)
    table.to_parquet(str(tmp_path / "t.parquet"))
    image = whole(tmp_path / "t.parquet").columns["image"]
    assert image.present.tolist() == [False, True, True]
    assert image.without_missing().read().values == pictures[1:]


# -- fingerprints ---------------------------------------------------------------------------------


def test_the_fingerprint_changes_with_the_items_and_their_splits(table: Path) -> None:
    first = source(table).fingerprint()
    assert source(table).fingerprint() == first
    marks = {
        first,
        source(table, split_seed=1).fingerprint(),
        source(table, test=0.3).fingerprint(),
    }
    other = hub_like(N - 1)
    other.to_parquet(str(table))
    marks.add(source(table).fingerprint())
    assert len(marks) == 4


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("10000000000000000000", "got 10000000000000000000, expected a whole number of 64 bits"),
        ("-9223372036854775809", "got -9223372036854775809, expected a whole number"),
        ('"\\ud800"', "half a character, expected valid Unicode. Correct the text"),
        ("[1, 10000000000000000000]", "got 10000000000000000000, expected a whole number"),
        ('["a", "\\ud800"]', "half a character, expected valid Unicode"),
        ("9" * 5000, "value has 5000 digits"),
    ],
)
def test_json_that_no_table_holds_is_told_by_line(tmp_path: Path, value: str, said: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"y": null}\n{"y": ' + value + '}\n{"y": null}\n')
    with pytest.raises(DataError, match=rf"t.jsonl, line 2.*{said}"):
        load_tables(str(file))


def test_a_column_of_json_called_by_half_a_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"\\ud800": 1}\n')
    with pytest.raises(
        DataError, match=r"line 2: the name .* holds half a character, expected valid Unicode"
    ):
        load_tables(str(tmp_path / "t.jsonl"))


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".json"])
def test_capitals_of_an_ending_do_not_count(tmp_path: Path, ending: str) -> None:
    columns = {"x": [1.5, 2.5] * 5, "y": ["a, b", "c"] * 5}
    small = write(tmp_path / f"t{ending}", columns)
    capitals = small.rename(tmp_path / f"T{ending.upper()}")
    split = load_tables(str(capitals))["train"]
    assert {name: list(c.read().values) for name, c in split.columns.items()} == columns
    out = tmp_path / f"OUT{ending.upper()}"
    stream = open_stream(capitals)
    with stream.writer(out, {}, {}) as writer:
        for rows in stream.chunks(3):
            writer.write(rows, {}, {})
    assert read(out.rename(tmp_path / f"out{ending}")) == read(
        capitals.rename(tmp_path / f"t{ending}")
    )


def test_semicolons_between_values_are_told(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("x;y\n1;a\n2;b\n")
    split = load_tables(str(file))["train"]
    with pytest.raises(DataError, match=r"but there are x;y\..* separated by ';'; expected comm"):
        check_columns("table", "train", split, {"x": "x"})
    file.write_text("x;y\n1,5;a\n2;b\n")
    with pytest.raises(DataError, match=r"line 2: 2 values, expected 1, .* separated by ';'"):
        load_tables(str(file))
    file.write_text("x\n1,5\n")
    with pytest.raises(DataError, match="Quote a text in which ',' stands.$"):
        load_tables(str(file))


def test_decimals_that_are_texts_keep_their_zeros(tmp_path: Path) -> None:
    numbers = [Decimal("1.10"), None, Decimal("-2.00"), Decimal("0.05")]
    file = write(tmp_path / "t.parquet", {"y": numbers})
    wanted = {"y": ColumnType("text")}
    column = load_tables(str(file), types=wanted)["train"].columns["y"]
    assert list(column.read().values) == ["1.10", None, "-2.00", "0.05"]
    assert list(load_tables(str(file))["train"].columns["y"].without_missing().read().values) == [
        1.1,
        -2,
        0.05,
    ]


def test_lock_files_are_left_out_and_files_of_one_name_told_apart(tmp_path: Path) -> None:
    for name in ("one/a.csv", "two/a.csv", "two/~$a.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n1\n2\n" if name[0] == "o" else "x\n3\n4\n")
    remarks = " ".join(source(tmp_path, validation=0, test=0).remarks())
    assert "4 rows of 'one/a.csv', 'two/a.csv'" in remarks
    assert "left out 'two/~$a.csv'" in remarks
