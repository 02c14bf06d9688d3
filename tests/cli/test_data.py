"""``mmvae data``: describe and check, as text and as JSON, with their exit codes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toys import toy_items

from mmvae.cli.data import _patterns
from mmvae.data.description import SplitSummary


@pytest.fixture
def table(training: Path) -> Path:
    """A config of a table of sound items, ``items.jsonl``."""
    write(toy_items(100))
    return retarget(training)


def retarget(config: Path) -> Path:
    text = config.read_text().replace('source = "toy"', 'source = "table"\npath = "items.jsonl"')
    config.write_text(text)
    return config


def write(items: dict[str, np.ndarray]) -> None:
    rows = zip(items["v"].tolist(), items["c"].tolist(), strict=True)
    lines = (json.dumps({"v": v, "c": c}) for v, c in rows)
    Path("items.jsonl").write_text("".join(line + "\n" for line in lines))


def test_describe(mmvae, training) -> None:
    result = mmvae("data", "describe", training)
    assert result.code == 0
    blocks = result.out.split("\n\n")
    assert blocks[0].startswith("source toy, fingerprint ")
    assert [block.split(":")[0] for block in blocks[1:]] == ["train", "validation", "test"]
    lines = blocks[1].splitlines()
    assert lines[0] == "train: 60 items, 0.000858 MiB prepared, kept in memory"
    assert lines[2].split()[:5] == ["v", "v", "toy-vector", "3", "float32"]
    assert lines[3].split()[:4] == ["c", "c", "toy-class", "3"]
    assert "red: " in lines[3]
    assert lines[4] == "items have: v+c, all of them"


def test_describe_as_json(mmvae, training) -> None:
    found = mmvae("data", "describe", training, "--json").json()
    assert found["source"] == "toy"
    assert found["modalities"]["v"] == {
        "column": "v",
        "codec": "toy-vector",
        "event_shape": [3],
        "classes": None,
    }
    assert {name: split["items"] for name, split in found["splits"].items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
    classes = found["splits"]["train"]["modalities"]["c"]["classes"]
    assert sum(classes.values()) == 60


def test_describe_shows_what_the_source_remarks(mmvae, training, monkeypatch) -> None:
    monkeypatch.setattr("mmvae.data.source.Source.remarks", lambda self: ("three were left out",))
    assert mmvae("data", "describe", training).out.splitlines()[1] == "three were left out"
    remarks = mmvae("data", "describe", training, "--json").json()["remarks"]
    assert remarks == ["three were left out"]


def test_gaps_make_a_table(mmvae, training) -> None:
    items = toy_items(20)
    items["v"][:3] = np.nan
    items["v"][3, 0] = np.nan
    write(items)
    options = ("-s", "modalities.v.gaps=true", "-s", "data.validation=0.0", "-s", "data.test=0.0")
    result = mmvae("data", "describe", retarget(training), *options)
    rows = [line.split() for line in result.out.splitlines()[-4:]]
    assert rows == [
        ["items", "have", "items", "share"],
        ["v+c", "17", "85.0%"],
        ["c", "3", "15.0%"],
        ["v", "in", "part", "1", "5.0%"],
    ]


def test_check_of_sound_data(mmvae, table) -> None:
    result = mmvae("data", "check", table)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        f"OK {table}: 80 train, 10 validation, 10 test items, nothing wrong found\n"
    )
    assert mmvae("data", "check", table, "--json").json() == {
        "config": str(table),
        "ok": True,
        "items": {"train": 80, "validation": 10, "test": 10},
        "findings": [],
    }


def test_check_names_what_is_wrong_and_ends_with_4(mmvae, training) -> None:
    items = toy_items(100)
    items["c"][17] = 5
    write(items)
    config = retarget(training)
    result = mmvae("data", "check", config)
    assert result.code == 4
    (line,) = result.out.splitlines()[1:]
    assert line.split()[:4] == ["wrong", "train", "c", "17"]
    assert "items.jsonl" in line
    assert "class 5, expected one of red, green, blue" in line
    assert result.err == f"error: {config}: 1 thing is wrong with the data, see above.\n"
    result = mmvae("data", "check", config, "--json")
    assert result.code == 4
    (finding,) = result.json()["findings"]
    assert (finding["kind"], finding["modality"], finding["item"]) == ("value", "c", 17)


def test_check_reads_the_data_of_the_judges_too(mmvae, table) -> None:
    keys = ("-s", "evaluate.judge_data={ path = 'nowhere.jsonl' }")
    result = mmvae("data", "check", table, *keys)
    assert result.code == 4
    assert "evaluate.judge_data = {" in result.out
    assert "nowhere.jsonl" in result.out


def test_missing_data_end_with_2(mmvae, training) -> None:
    config = retarget(training)
    for command in ("describe", "check"):
        result = mmvae("data", command, config)
        assert (result.code, result.out) == (2, "")
        assert "items.jsonl" in result.err


def test_repeated_items_are_a_remark_and_no_failure(mmvae, training) -> None:
    items = toy_items(100)
    for column in items.values():
        column[3] = column[2]
    write(items)
    result = mmvae("data", "check", retarget(training))
    assert result.code == 0
    assert any(line.startswith("remark") and "item" in line for line in result.out.splitlines())
    assert "nothing wrong found" in result.out


def test_of_very_many_patterns_of_gaps_the_most_frequent_are_shown() -> None:
    patterns = Counter({f"a+m{i}": 100 - i for i in range(60)})
    summary = SplitSummary(patterns.total(), patterns=patterns)
    lines = _patterns(summary).splitlines()
    assert len(lines) == 1 + 40 + 1
    assert lines[1].split()[:2] == ["a+m0", "100"]
    assert lines[-1].split() == ["…", "and", "20", "other", "sets", "1010", "23.9%"]
