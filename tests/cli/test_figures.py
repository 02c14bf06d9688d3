"""``mmvae figures`` draws where it is told, says what it drew, and overwrites nothing unasked."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import toy_config, toy_registry

import mmvae as package
from mmvae.cli.figures import command
from mmvae.cli.main import COMMANDS
from mmvae.plugins.entry_points import FIGURE_ENTRIES

Mmvae = Callable[..., object]


@pytest.fixture
def run(toy_run: Path, toy_plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``runs/toy`` in the working folder: modalities v, c and p."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(toy_run, tmp_path / "runs" / "toy"))


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of v and c without encoders of subsets, and a row of a table to its name."""
    folder = tmp_path_factory.mktemp("other") / "other"
    settings = toy_config(model={"missing": "zero"})
    settings["reference"] = {"row": "the other", "source": "a paper"}
    package.train(settings, run_dir=folder, registry=toy_registry())
    return folder


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10, "something is drawn"
        return picture.size


def test_it_is_listed() -> None:
    assert "figures" in COMMANDS


def test_a_figure_of_one_run_goes_to_its_folder_and_overwrites_none(mmvae, run: Path) -> None:
    for kind in ("latent", "reconstructions", "generated"):
        for name in (kind, f"{kind}-2"):
            result = mmvae("figures", kind, run)
            path = run / "figures" / f"{name}.png"
            assert (result.code, result.err) == (0, f"Wrote {path}\n")
            assert "Experiment toy, step " in result.out
            size(path)


def test_a_figure_is_not_written_to_a_run_that_took_the_place_of_its_own(
    mmvae, run: Path, monkeypatch
) -> None:
    from mmvae.report import figures

    old, draw = run.with_name("old"), figures.generated_picture

    def replacing(*given):
        run.rename(old)
        shutil.copytree(old, run)
        return draw(*given)

    monkeypatch.setattr(figures, "generated_picture", replacing)
    result = mmvae("figures", "generated", run)
    assert (result.code, (run / "figures").exists()) == (2, False)
    assert "was removed, moved or replaced while this process worked with it" in result.err


def test_a_figure_of_several_goes_to_the_working_folder(mmvae, run: Path, other_run: Path) -> None:
    for kind in ("latent", "generated"):
        extra = ("--to", "v") if kind == "generated" else ()
        result = mmvae("figures", kind, run, other_run, *extra)
        assert (result.code, result.err) == (0, f"Wrote {kind}.png\n")
        assert "toy: experiment toy" in result.out
        assert "the other: experiment toy" in result.out
        alone = mmvae("figures", kind, run, *extra, "--out", "alone.png")
        assert alone.code == 0
        assert size(Path(f"{kind}.png"))[0] > 1.5 * size(Path("alone.png"))[0]
    assert not (run / "figures").exists()


def test_an_older_file_is_replaced_where_it_is_named_and_that_is_said(mmvae, run: Path) -> None:
    for seed, said in ((0, "Wrote"), (0, "Replaced"), (1, "Replaced")):
        before = Path("z.png").read_bytes() if seed else b""
        result = mmvae("figures", "latent", run, "--seed", seed, "--out", "z.png")
        assert (result.code, result.err) == (0, f"{said} z.png\n")
        assert f"evaluation seed {seed}." in result.out
    assert Path("z.png").read_bytes() != before


def test_json_has_the_accuracies(mmvae, run: Path) -> None:
    result = mmvae("figures", "latent", run, "--given", "v", "--out", "z.png", "--json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert set(found) == {"out", "caption", "nearest neighbours"}
    assert found["out"] == "z.png"
    assert 0.8 < found["nearest neighbours"][str(run)]["mean"] <= 1


def test_reconstructions_of_any_modality(mmvae, run: Path) -> None:
    default = mmvae("figures", "reconstructions", run)
    assert default.out.startswith("p of 10 test items"), "the one that is shown as pictures"
    result = mmvae(
        "figures", "reconstructions", run, "--of", "c", "--items", "3", "--split", "train"
    )
    assert result.out.startswith("c of 3 train items")
    assert "given v and c and p (multiple) and c (single)" in result.out


def test_a_report_leaves_figures_alone(mmvae, run: Path, monkeypatch) -> None:
    from mmvae.evaluation import classifiers as classifiers

    monkeypatch.setattr(classifiers, "LEAST_STEPS", 5)
    assert mmvae("figures", "latent", run).code == 0
    drawn = (run / "figures" / "latent.png").read_bytes()
    assert mmvae("report", run).code == 0
    assert (run / "figures" / "latent.png").read_bytes() == drawn
    assert (run / "figures" / "latent-map.png").is_file()


MISTAKES = [
    (("latent", "nowhere"), "There is no run folder nowhere"),
    (("latent",), "Missing argument 'RUN...'"),
    (("latent", "RUN", "--out", "z.pdf"), "unknown ending '.pdf', expected .png"),
    (("latent", "RUN", "--out", "nowhere/z.png"), "there is no folder nowhere"),
    (("latent", "RUN", "--given", "x"), "runs/toy: Unknown modality 'x'"),
    (("latent", "RUN", "--label", "x"), "neither a modality with classes nor a column"),
    (("latent", "RUN", "--label", "w"), "column 'w' holds float32 values"),
    (("latent", "RUN", "-s", "model.latent_dim=3"), "only evaluate.…, metrics.… and data.… may"),
    (("reconstructions", "RUN", "--of", "x"), "runs/toy: Unknown modality 'x'"),
    (("generated", "RUN", "--from", "x"), "runs/toy: Unknown modality 'x'"),
    (("generated", "RUN", "--from", "v"), "modality 'v' has no classes to generate from"),
    (("generated", "RUN", "--to", "c"), "'c' cannot be generated from itself"),
    (("generated", "RUN", "OTHER", "--to", "p"), "other: Unknown modality 'p'"),
    (("generated", "RUN", "--count", "0"), "0 is not in the range"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_end_with_2_and_write_nothing(
    mmvae, run: Path, other_run: Path, arguments: tuple[str, ...], message: str
) -> None:
    places = {"RUN": run, "OTHER": other_run}
    result = mmvae("figures", *(places.get(a, a) for a in arguments))
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not list(run.parents[1].rglob("*.png"))


def test_a_run_without_a_model_yet_is_refused(mmvae, run: Path) -> None:
    for name in ("model", "checkpoints"):
        shutil.rmtree(run / name)
    (run / "latest").unlink(missing_ok=True)
    result = mmvae("figures", "latent", run)
    assert result.code == 2
    assert str(run) in result.err


def test_an_unfinished_run_is_drawn_with_a_remark(mmvae, run: Path) -> None:
    shutil.rmtree(run / "model")
    result = mmvae("figures", "reconstructions", run, "--out", "z.png")
    assert result.code == 0
    assert result.err.count(f"The training of {run} is unfinished") == 1
    assert result.err.count(" is unfinished") == 1
    assert Path("z.png").is_file()


def test_a_damaged_model_ends_with_5(mmvae, run: Path) -> None:
    (weights,) = (run / "model").glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = mmvae("figures", "reconstructions", run)
    assert (result.code, result.out) == (5, "")
    assert weights.name in result.err


def test_classes_must_agree(mmvae, run: Path, other_run: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    rows = [{"v": [1.0, i % 2, 0.0], "c": "abc"[i % 3]} for i in range(30)]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = toy_config(
        data={"source": "table", "path": str(items), "test": 0.3, "validation": 0.1},
        modalities={"v": {"codec": "toy-vector"}},
        train={"epochs": 1},
    )
    package.train(settings, run_dir=tmp_path / "abc", registry=toy_registry())
    result = mmvae("figures", "latent", run, tmp_path / "abc")
    assert result.code == 2
    assert f"{tmp_path / 'abc'} has the classes a, b, c, but {run} has red, green" in result.err


def test_without_matplotlib_it_says_what_to_install(mmvae, run: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = mmvae("figures", "latent", run)
    assert result.code == 2
    assert "pip install 'mmvae[plot]'" in result.err


FIGURE = """
import click
from mmvae.cli.drawing import common_options, opened, run_argument, write
from mmvae.report.canvas import Picture, sheet


@click.command()
@run_argument
@click.option("--word", default="hello")
@common_options
def command(run, word, seed, overrides, out, as_json):
    (subject,) = opened([run], None, seed, overrides)
    picture = Picture("word", word, f"{word}. {subject.origin}", sheet([[word]], ["says"]))
    write(picture, [run], out, as_json)
"""


def test_a_plugin_s_figure_is_listed_unloaded_and_drawn_as_the_core_s_are(
    mmvae, run: Path, install, monkeypatch
) -> None:
    install("wordy", "word", FIGURE, group=FIGURE_ENTRIES)
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,wordy")
    listing = mmvae("figures", "--help").out
    assert listing.index("reconstructions") < listing.index("Figures of plugins")
    assert "word wordy" in " ".join(listing.split("Figures of plugins")[1].split())
    assert "wordy" not in sys.modules
    result = mmvae("figures", "word", run, "--word", "good day", "--seed", 3)
    assert (result.code, result.err) == (0, f"Wrote {run / 'figures' / 'word.png'}\n")
    assert result.out.startswith("good day. Experiment toy, step ")
    assert "evaluation seed 3" in result.out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import surely_not_installed", "the module 'surely_not_installed' that it needs is not"),
        ("command = 3", "is 3; expected a click command"),
        ("mmvae_contract = 99", "it is written for version 99 of the plugin contract"),
        ("print('hello'); raise SystemExit(4)", "hello"),
    ],
)
def test_a_broken_figure_harms_only_itself(
    mmvae, run: Path, install, monkeypatch, code, message
) -> None:
    install("wordy", "word", code, group=FIGURE_ENTRIES)
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,wordy")
    result = mmvae("figures", "word", run)
    assert (result.code, result.out) == (3, "")
    assert "figure 'word' (wordy 1.0) is broken" in result.err
    assert message in result.err
    assert mmvae("figures", "--help").code == 0
    assert mmvae("figures", "latent", run).code == 0


def test_figures_that_clash_are_named_with_both(mmvae, run: Path, install, monkeypatch) -> None:
    install("wordy", "word", FIGURE, group=FIGURE_ENTRIES)
    install("wordier", "word", FIGURE, group=FIGURE_ENTRIES)
    install("usurper", "latent", FIGURE, group=FIGURE_ENTRIES)
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,wordy,wordier,usurper")
    result = mmvae("figures", "word", run)
    assert result.code == 3
    assert "offered by several distributions: wordier, wordy" in result.err
    listing = " ".join(mmvae("figures", "--help").out.split())
    assert "latent usurper offers it, but the core has a figure of this name" in listing
    assert mmvae("figures", "latent", run).code == 0
    assert "latent" not in command.offered()
    listed = mmvae("plugins", "list")
    assert "conflict: figure 'word': offered by several distributions" in listed.out
    assert set(mmvae("plugins", "list", "--json").json()["figure_clashes"]) == {"word", "latent"}
    monkeypatch.setenv("MMVAE_PLUGINS", "toys,wordy")
    assert mmvae("figures", "word", run).code == 0, "a switch settles it"


def test_a_misspelt_figure_gets_a_hint(mmvae) -> None:
    result = mmvae("figures", "latnet")
    assert result.code == 2
    assert "No such command 'latnet'. Did you mean 'latent'?" in result.err


@pytest.fixture(scope="session")
def run_without_splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on training items alone."""
    folder = tmp_path_factory.mktemp("bare") / "bare"
    settings = toy_config(data={"source": "toy", "validation": 0, "test": 0}, train={"epochs": 1})
    package.train(settings, run_dir=folder, registry=toy_registry())
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("figures", "latent", "RUN"),
        ("figures", "latent", "RUN", "--label", "c"),
        ("figures", "latent", "RUN", "--split", "validation", "--label", "c"),
        ("figures", "reconstructions", "RUN", "--of", "v"),
        ("figures", "reconstructions", "RUN", "--of", "v", "--split", "validation"),
        ("report", "RUN"),
        ("evaluate", "RUN"),
        ("evaluate", "RUN", "--split", "validation", "--bounds", "standard"),
        ("embed", "RUN", "test", "--out", "z.parquet"),
        ("score", "RUN", "validation", "--out", "z.parquet"),
        ("retrieve", "RUN", "test", "--query", "v", "--from", "c"),
        ("retrieve", "RUN", "train", "--query", "v", "--from", "c", "--among", "test"),
    ],
)
def test_a_split_that_there_is_not_is_told(
    mmvae, run_without_splits: Path, toy_plugin: None, tmp_path, monkeypatch, arguments
) -> None:
    monkeypatch.chdir(tmp_path)
    result = mmvae(*(run_without_splits if a == "RUN" else a for a in arguments))
    assert (result.code, result.out) == (2, "")
    assert "no split" in result.err
    assert "train" in result.err, "what there is"


def test_what_needs_no_split_does_without(
    mmvae, run_without_splits: Path, toy_plugin: None, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = ["figures", "latent", run_without_splits, "--split", "train", "--out", "f.png"]
    assert mmvae(*drawn).code == 0
    made = ["generate", run_without_splits, "--given", "c=red", "--to", "v", "--out", "v.npz"]
    assert mmvae(*made).code == 0
