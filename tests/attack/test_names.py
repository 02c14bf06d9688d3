"""Names from elsewhere are refused or shown escaped, and no text is taken for a formula."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from attack.mutations import loose_json, reseal
from PIL import Image
from toys import NAMES, ClassCodec, VectorCodec, toy_config, toy_registry
from trainings import Moment, config, moments, train

import mmvae
from mmvae.cli.main import run as command_line
from mmvae.cli.options import columns
from mmvae.evaluation import classifiers as classifiers
from mmvae.experiments.config import load_experiment
from mmvae.foundations.errors import ConfigError, RunError, TrainingError
from mmvae.foundations.printable import is_plain, printable, short_name
from mmvae.report import canvas
from mmvae.report.html import escape
from mmvae.report.report import report
from mmvae.training.progress import PlainProgress

ODD = (
    "$\\frac{$",
    "$x^2$",
    "\x1b[31mred",
    "a\nb",
    "\u202egnp.exe",
    "x" * 255,
    "<b>&",
    "\ud800",
    " ",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢字 🙂 a\u00a0b", "plain é 漢字 🙂 a\u00a0b"),
        ("a\n\tb", "a\n\tb"),
        ("\x1b[2J\x07\x7f\x9b", "\\u001b[2J\\u0007\\u007f\\u009b"),
        ("\u202eabc\u2066\u200f\u061c", "\\u202eabc\\u2066\\u200f\\u061c"),
        ("\ud800\u2028\ufeff", "\\ud800\\u2028\\ufeff"),
    ],
)
def test_what_steers_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


def test_names_on_one_line_are_cut() -> None:
    assert short_name("a\nb") == "a\\u000ab"
    assert short_name("x" * 255) == "x" * 39 + "…"
    assert is_plain("a b é")
    assert not any(map(is_plain, ("", " ", " a", "a ", "a\n", "\x1b", "\u202ea")))


@pytest.mark.parametrize(
    "name", ["x" * 101, "é" * 51, "a\nb", "\x1b[2J", "\u202ea", " ", "a ", ""]
)
def test_a_run_has_a_name_that_can_be_shown(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        load_experiment(toy_config() | {"name": name}, registry=toy_registry())


@pytest.mark.parametrize("name", ["x" * 101, "a b", "a\n", "é", "\x1b"])
def test_a_modality_has_a_name_that_can_name_files(name: str) -> None:
    modalities = {name: {"codec": "toy-vector", "column": "v"}}
    with pytest.raises(ConfigError, match="modalities") as error:
        load_experiment(toy_config(modalities=modalities), registry=toy_registry())
    assert "\x1b" not in printable(str(error.value))


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", " ", "\u202ea"])
def test_a_run_folder_has_a_name_that_can_be_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot name a run folder"):
        train(tmp_path / name, config(), max_steps=1)
    assert list(tmp_path.iterdir()) == []


def test_a_name_too_long_for_the_system_is_told(tmp_path: Path, capfd) -> None:
    with pytest.raises(TrainingError, match="File name too long. Choose a shorter name"):
        train(tmp_path / ("x" * 256), config(), max_steps=1)
    long = str(tmp_path / ("x" * 256))
    for words in (
        ["evaluate", long],
        ["generate", long],
        ["generate", "run", "--out", long],
        ["embed", "run", "test", "--out", f"{long}.csv"],
        ["embed", "run", long, "--out", f"{tmp_path}/z.csv"],
        ["train", f"{long}.toml"],
    ):
        assert command_line(words) == 2, words
        assert "Traceback" not in capfd.readouterr().err


def test_tables_and_lines_steer_no_terminal(capsys) -> None:
    assert columns([("a", "b"), ("\x1b[2J", "x\ny")]) == "a          b\n\\u001b[2J  x\\u000ay"
    PlainProgress().say("class \x1b[2J")
    assert capsys.readouterr().err == "class \\u001b[2J\n"
    assert escape("<b>\u202e") == "&lt;b&gt;\\u202e"


@pytest.mark.parametrize("name", ODD)
def test_any_name_can_be_drawn(name: str) -> None:
    drawn = canvas.sheet([[name, name]], [name], [(name, 2)], [(name, 2)])
    assert min(Image.open(io.BytesIO(drawn)).size) > 10


def test_a_dollar_is_a_dollar(monkeypatch) -> None:
    from matplotlib.mathtext import MathTextParser
    from matplotlib.text import Text

    def refuse(*args, **more):
        raise AssertionError("a text was taken for a formula")

    monkeypatch.setattr(MathTextParser, "parse", refuse)
    figure = canvas.new_figure(2, 2)
    panel = figure.subplots()
    panel.set_title("$a$")
    panel.set_xticks([0, 1], ["$b$", "$c$"])
    panel.plot([0, 1], [0, 1], label="$d$")
    panel.legend(title="$e$")
    assert min(Image.open(io.BytesIO(canvas.png(figure))).size) > 10
    assert not any(text.get_parse_math() for text in figure.findobj(Text))


def test_a_report_takes_any_class(toy_run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(classifiers, "LEAST_STEPS", 50)
    folder = Path(shutil.copytree(toy_run, tmp_path / "run"))
    document = json.loads((folder / "model" / "state.json").read_bytes())
    document["codecs"]["c"]["classes"] = ["$\\frac{$", "\x1b[2J\u202ea\nb", "x" * 255]
    reseal(folder / "model", "state.json", loose_json(document))
    code = ClassCodec._code

    def coded(self: ClassCodec, row: int | None, value: object) -> int:
        return NAMES.index(value) if value in NAMES else code(self, row, value)

    monkeypatch.setattr(ClassCodec, "_code", coded)
    report(folder, registry=toy_registry())
    page = (folder / "report.html").read_text("utf-8")
    assert not {"\x1b", "\u202e"} & set(page)


# --- what messages say


def test_out_of_memory_breaks_no_contract(tmp_path: Path, monkeypatch) -> None:
    def too_large(self, *sizes):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")

    for method in ("encoder", "decoder"):
        with monkeypatch.context() as patch:
            patch.setattr(VectorCodec, method, too_large)
            with pytest.raises(TrainingError, match="Out of memory while the networks are built"):
                mmvae.train(toy_config(), run_dir=tmp_path / "run", registry=toy_registry())
    assert not (tmp_path / "run").exists()


def test_after_a_nan_the_message_says_what_a_resume_can_do(tmp_path: Path) -> None:
    moment = Moment(9, lambda x: x * float("nan"))
    settings, plugins = moments(moment, train={"checkpoint_every": 4, "learning_rate": 0.01})
    way = r"mmvae resume \S*run -s train.learning_rate=0.005` resumes from .* of step 8;"
    with pytest.raises(TrainingError, match=way) as failed:
        train(tmp_path / "run", settings, registry=plugins)
    assert "any key of [train] except batch_size, drop_last, seed, freeze" in str(failed.value)
    overrides = ["train.learning_rate=0.005"]
    mmvae.resume(tmp_path / "run", registry=plugins, overrides=overrides)
    settings, plugins = moments(Moment(2, lambda x: x * float("nan")))
    with pytest.raises(TrainingError, match="restarts from the first step"):
        train(tmp_path / "other", settings, registry=plugins)
