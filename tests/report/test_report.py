"""The report of a run holds every figure it names, and nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from toys import toy_config, toy_items, toy_registry

import mmvae
from mmvae.evaluation import classifiers as classifiers
from mmvae.experiments.open_run import open_run
from mmvae.foundations.errors import DataError, RunError
from mmvae.report.latent import latent_picture
from mmvae.report.report import commands, own_names, report
from mmvae.report.subject import Subject

FIGURES = {
    "c-to-v",
    "c-to-p",
    "given-v",
    "given-c",
    "given-p",
    "prior",
    "coherence-c",
    "latent-map",
    "latent-kl",
    "training",
}


@pytest.fixture(scope="module")
def run(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(toy_run, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "LEAST_STEPS", 50)
        report(folder, registry=toy_registry())
    return folder


def test_every_figure_is_drawn_and_is_in_the_page(run: Path) -> None:
    files = {path.stem: path.read_bytes() for path in (run / "figures").iterdir()}
    assert set(files) == FIGURES
    page = (run / "report.html").read_text(encoding="utf-8")
    embedded = [base64.b64decode(d) for d in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert sorted(embedded) == sorted(files.values())
    for data in embedded:
        picture = Image.open(io.BytesIO(data))
        picture.load()
        assert min(picture.size) > 100


def test_other_files_stay_and_older_pictures_of_its_own_do_not(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    kept = {"latent.png", "generated-2.png", "reconstructions.png", "v-to-c.png", "notes.txt"}
    for name in kept:
        (folder / "figures" / name).write_bytes(name.encode())
    (folder / "metrics.jsonl").write_bytes(b"")  # nothing was logged: no curves to draw
    with pytest.raises(RunError, match=r"metrics\.jsonl, which has 0, or other lines"):
        report(folder, registry=toy_registry())
    shutil.rmtree(folder / "checkpoints")  # nothing knows better
    report(folder, registry=toy_registry())
    files = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert set(files) == kept | {f"{name}.png" for name in FIGURES - {"training"}}
    assert all(files[name] == name.encode() for name in kept)


def test_every_picture_is_known_as_a_reports_own(run: Path) -> None:
    names = own_names(open_run(run, registry=toy_registry()).trained.model)
    assert names == FIGURES | {"observed"}  # which is drawn where metrics look on


def test_the_page_needs_nothing_else(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link|url\(", page)
    assert all(src.startswith("data:") for src in re.findall(r'src="([^"]+)"', page))


def test_captions_say_what_was_run(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    step = open_run(run, registry=toy_registry()).step
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert len(captions) == len(FIGURES)
    wanted = f"Experiment toy, step {step}, test split, training seed 0, evaluation seed 0."
    assert all(caption.endswith(wanted) for caption in captions)
    for table in (
        "Evidence lower bound of the log-likelihood",
        "Subset posteriors",
        "Coherence",
        "Accuracy",
        "Cross-generation",
        "Latent",
        "Share of the gradient",
    ):
        assert f"<h3>{table}</h3>" in page


def test_it_says_how_to_do_it_again(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    again = f"{run}-2"
    assert f"mmvae train {run}/config.resolved.toml --run-dir {again}\n" in page
    assert f"mmvae evaluate {again}\nmmvae report {again}\n" in page


def test_it_is_evaluated_once(run: Path) -> None:
    before = (run / "evaluation.json").stat().st_mtime_ns
    report(run, registry=toy_registry())
    assert (run / "evaluation.json").stat().st_mtime_ns == before


def test_data_in_memory_are_given_again_in_python(run: Path) -> None:
    opened = open_run(run, registry=toy_registry())
    memory = SimpleNamespace(data=SimpleNamespace(source="memory"))
    made = commands(SimpleNamespace(run=opened.run, experiment=memory))
    compile(made, "commands", "exec")
    assert f"mmvae.train('{run}/config.resolved.toml', data=data, run_dir='{run}-2')" in made


def test_without_complete_items_their_figures_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    data = {name: toy_items(30, seed) for seed, name in enumerate(("train", "test"))}
    for items in data.values():
        items["v"][::2] = float("nan")
        items["c"] = np.ma.masked_array(items["c"], np.arange(30) % 2 == 1)
    settings = toy_config(train={"epochs": 1}, model={"alpha": 0})
    del settings["data"]
    folder = tmp_path / "run"
    mmvae.train(settings, data, run_dir=folder, registry=toy_registry())
    page = report(folder, data, registry=toy_registry()).read_text("utf-8")
    reason = "none of its 30 items has every modality)"
    for figure in ("reconstructions", "latent map"):
        assert re.search(rf"left out: {figure} \(Source .*{re.escape(reason)}", page)
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert names >= {"prior", "training"}
    assert not names & {"latent-map", "given-v"}
    made = Subject(open_run(folder, data, registry=toy_registry()), "test", 0)
    with pytest.raises(DataError, match="`mmvae embed` gives the latents of incomplete items"):
        latent_picture([made])
