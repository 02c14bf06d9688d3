"""``mmvae generate`` fills modalities in, in the user's units, and refuses what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import CENTRES, NAMES

from mmvae.cli.pictures import GAP, contact_sheet
from mmvae.foundations.errors import UsageError
from mmvae.inference.trained_model import TrainedModel


@pytest.fixture
def run(toy_plugin, toy_run, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return toy_run


def test_values_from_a_value(mmvae, run) -> None:
    """A vector near a class's centre is of that class, and the other way round."""
    for c, name in enumerate(NAMES):
        given = ",".join(map(str, CENTRES["v"][c]))
        result = mmvae("generate", run, "--given", f"v={given}", "--to", "c", "--temperature", 0)
        assert (result.code, result.out.split(), result.err) == (0, ["c", name], "")
        options = ("--given", f"c={name}", "--to", "v", "--temperature", 0, "--json")
        (item,) = mmvae("generate", run, *options).json()["items"]
        distances = np.square(CENTRES["v"] - np.array(item["v"])).sum(1)
        assert distances.argmin() == c


def test_pictures_are_files_and_a_sheet(mmvae, run) -> None:
    result = mmvae("generate", run, "--given", "c=red", "--count", 3)
    assert result.err == "Wrote generated\n"
    files = [f"generated/p-00{i}.png" for i in range(3)]
    assert [line.split()[-1] for line in result.out.splitlines()[1:]] == files
    assert sorted(map(str, Path("generated").iterdir())) == sorted([*files, "generated/p.png"])
    with Image.open(files[0]) as picture:
        assert picture.size == (3, 1)
    result = mmvae("generate", run, "--json")
    assert result.json()["out"] == "generated-2", "nothing is overwritten"
    (item,) = result.json()["items"]
    assert item["p"] == "generated-2/p-000.png"
    assert set(item) == {"v", "c", "p"}


def test_a_picture_as_the_condition(mmvae, run) -> None:
    levels = np.clip(CENTRES["w"][:1] * 32 + 128, 0, 255).astype(np.uint8)
    Image.fromarray(levels).save("red.png")
    result = mmvae("generate", run, "--given", "p=red.png", "--to", "c", "--temperature", 0)
    assert result.out.split() == ["c", "red"]


def test_the_seed_governs_every_draw(mmvae, run) -> None:
    def values(*options: object) -> list:
        call = ("generate", run, "--to", "v", "--count", 4, "--json", *options)
        return [item["v"] for item in mmvae(*call).json()["items"]]

    assert values() == values()
    assert values() != values("--seed", 1)
    assert values("--sample") != values()
    still = values("--temperature", 0)
    assert all(value == still[0] for value in still)
    assert len({str(v) for v in values("--temperature", 0, "--sample")}) == 4


def test_a_sheet_or_a_table_as_the_place(mmvae, run) -> None:
    result = mmvae("generate", run, "--to", "p", "--count", 4, "--out", "sheet.png")
    assert result.err == "Wrote sheet.png\n"
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (2 * 66 + GAP, 2 * 22 + GAP)
    mmvae("generate", run, "--count", 4, "--out", "values.npz")
    values = np.load("values.npz")
    assert values["v"].shape == (4, 3)
    assert set(values["c"].tolist()) <= set(NAMES)


def test_a_contact_sheet_keeps_order_and_pixels() -> None:
    tiles = [Image.new("L", (64, 64), level) for level in (10, 20, 30)]
    sheet = np.asarray(contact_sheet(tiles))
    at = 64 + GAP
    assert [sheet[0, 0, 0], sheet[0, at, 0], sheet[at, 0, 0]] == [10, 20, 30]
    assert sheet[at, at, 0] == 255, "an empty place is white"


MISTAKES = [
    (("--given", "a=1"), "Unknown modality 'a'; this model has v, c, p."),
    (("--given", "v"), "expected MODALITY=VALUE"),
    (("--given", "c=red", "--given", "c=blue"), "'c' is given twice"),
    (("--given", "c=5"), "class 5, expected one of red, green, blue"),
    (("--given", "c=mauve"), "class mauve, expected one of red, green, blue"),
    (("--given", "v=1,2"), "shape (1, 2)"),
    (("--given", "v=1,2,x"), "expected three numbers"),
    (("--given", "p=nowhere.png"), "'nowhere.png' is no readable picture"),
    (("--given", "p=text.png"), "'text.png' is no readable picture"),
    (("--to", "a"), "Unknown modality 'a'"),
    (("--to", "c", "--out", "c.png"), "expected one modality of pictures, got none"),
    (("--to", "c", "--out", "folder"), "a folder is for pictures"),
    (("--out", "c.gif"), "unknown ending '.gif'"),
    (("--out", "nowhere/c.png"), "there is no folder nowhere"),
    (("--out", "full"), "--out full exists"),
    (("--count", "0"), "--count"),
    (("--temperature", "-1"), "--temperature"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_end_with_2_and_write_nothing(mmvae, run, options, message: str) -> None:
    Path("text.png").write_text("no picture")
    Path("full").mkdir()
    Path("full/kept").touch()
    result = mmvae("generate", run, *options)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.startswith("error: ")
    assert sorted(path.name for path in Path().rglob("*")) == ["full", "kept", "text.png"]


def test_no_run_and_a_damaged_model(mmvae, run, toy_run, tmp_path) -> None:
    import shutil

    assert mmvae("generate", "nowhere").code == 2
    copy = tmp_path / "copy"
    shutil.copytree(toy_run, copy)
    file = copy / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    result = mmvae("generate", copy)
    assert (result.code, result.out) == (5, "")
    assert "model.safetensors" in result.err
    assert list(Path().iterdir()) == []


def test_pairs_keep_further_equals_signs() -> None:
    from mmvae.cli.generate import pairs

    assert pairs(["attributes=Smiling=2,Male=-2"]) == {"attributes": "Smiling=2,Male=-2"}
    with pytest.raises(UsageError, match="expected MODALITY=VALUE"):
        pairs(["=3"])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 16.0 GiB for an array"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 16 GB"),
    ],
)
def test_out_of_memory_is_one_message(mmvae, run, monkeypatch, error) -> None:
    def draw(*given):
        raise error

    monkeypatch.setattr(TrainedModel, "draw", draw)
    result = mmvae("generate", run)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: Out of memory (")
    assert "a smaller --count" in result.err


@pytest.mark.parametrize("option", [("--to", "x"), ("--given", "x"), ("--given", "=x")])
def test_very_long_names_are_told_in_short(mmvae, run, option) -> None:
    name, text = option
    result = mmvae("generate", run, name, text.replace("x", "x" * 10**6))
    assert result.code == 2
    assert "x" * 70 in result.err
    assert len(result.err) < 500
