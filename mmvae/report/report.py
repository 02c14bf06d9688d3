"""A run's figures and its ``report.html``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmvae import __version__
from mmvae.data.split_names import SPLITS
from mmvae.data.usable_items import NoCompleteItems
from mmvae.evaluation.coherence import classified_pairs
from mmvae.evaluation.coherence_matrix import labels_of
from mmvae.experiments.evaluate import evaluate_opened
from mmvae.experiments.open_run import OpenRun, open_run
from mmvae.foundations import staging, storage
from mmvae.foundations.json_document import problem_of
from mmvae.foundations.operations import reported
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.surroundings import exclusive
from mmvae.models.base import Model
from mmvae.plugins.registry import Registry
from mmvae.report.canvas import Picture, require_matplotlib
from mmvae.report.curves import observed_curves, training_curves
from mmvae.report.diagnostics import dimension_kl
from mmvae.report.hints import hints, left_out
from mmvae.report.html import page, table_html
from mmvae.report.latent import latent_map
from mmvae.report.matrix import coherence_maps
from mmvae.report.pictures import class_samples, prior_samples, reconstructions
from mmvae.report.report_subject import Drawn, ReportSubject
from mmvae.report.tables import densities, heading, tables, weights
from mmvae.runs.results_file import read_results, refuse_results
from mmvae.runs.run import Run

FIGURES: tuple[Callable[[ReportSubject], list[Picture]], ...] = (
    class_samples,
    reconstructions,
    prior_samples,
    coherence_maps,
    latent_map,
    dimension_kl,
    training_curves,
    observed_curves,
)
"""The figures of a report, in order."""


MOST_OF_A_FIGURE = 1 << 28
"""Maximum size in bytes of a file in a folder of figures."""


@exclusive()
def report(
    run: str | Path,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Path:
    """Write a run's figures and its ``report.html``; evaluate it first if needed.

    Args:
        run: The run's folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``"key=value"`` texts for ``evaluate`` and ``data``; without any for
            ``evaluate``, an evaluation of these weights and data is shown whatever its keys were.
        progress: Shows how far the work is, and remarks, such as that the data differ from those
            that the run was trained on; default: remarks on standard error.
        registry: The plugins to choose from; default: the installed ones.

    Returns:
        The path of the report.

    Raises:
        MmvaeError: As :func:`evaluate`; UsageError if matplotlib is not installed.
    """
    require_matplotlib()
    with Run.open(storage.named_path(run, "run")).results_locked():
        opened = open_run(run, data, overrides, registry, progress)
        asked = [text for text in overrides if text.startswith(("evaluate.", "metrics"))]
        shown = progress or NOBODY
        result = _evaluation(opened, asked) or evaluate_opened(opened, shown)
        return write_report(ReportSubject(opened, result["split"], result["seed"], result), shown)


def _evaluation(opened: OpenRun, overrides: Sequence[str]) -> dict[str, Any] | None:
    """The content of ``evaluation.json`` if it was made with these weights and data.

    Its keys are compared only if overrides are given.
    """
    if not opened.run.evaluation.exists():
        return None
    result, wanted = read_results(opened.run), opened.made_with()
    if not overrides:
        del wanted["config"]
    if {key: result.get(key) for key in wanted} != wanted:
        return None
    try:
        Drawn.model_validate(result).check(opened.trained.model)
        shown = [
            *map(table_html, tables(result)),
            *left_out(result),
            *hints(result),
            heading(result),
        ]
    except Exception as error:  # of any kind: its weights and data match, its content may not
        problem = f"it lacks what a report shows ({type(error).__name__}: {problem_of(error)})"
        refuse_results(opened.run, opened.run.evaluation.name, problem, error)
    return result if shown else None


def write_report(subject: ReportSubject, progress: Progress = NOBODY) -> Path:
    """Draw the figures into ``RUN/figures`` and write ``RUN/report.html``.

    Args:
        subject: The run and its evaluation.
        progress: Reports progress.

    Returns:
        The path of the report.

    Raises:
        UsageError: matplotlib is not installed.
        RunError: The run's folder was removed, moved or replaced since it was opened.
        TrainingError: The system refused to write.
    """
    require_matplotlib()
    run, pictures, missing = subject.run, list[Picture](), list[str]()
    for done, draw in enumerate(FIGURES):
        progress.part("drawing", done, len(FIGURES))
        try:
            pictures += draw(subject)
        except NoCompleteItems as error:
            missing.append(f"left out: {draw.__name__.replace('_', ' ')} ({error.reason})")
    progress.part("drawing", len(FIGURES), len(FIGURES))
    own = {f"{name}.png" for name in own_names(subject.trained.model)}
    kept = {name: data for name, data in files_in(run.figures).items() if name not in own}
    run.check_in_place()
    with staging.staged_folder(run.figures, replace=True) as folder:
        for name, content in kept.items():
            storage.put(folder / name, content)
        for picture in pictures:
            storage.put(storage.within(folder, f"{picture.name}.png"), picture.png)
    result = subject.evaluation
    text = page(
        title=f"{subject.experiment.name}: report of a run",
        summary=summary(subject),
        tables=tables(result),
        pictures=pictures,
        commands=commands(subject),
        config=storage.read(run.resolved).decode(),
        notes=[*left_out(result), *missing, *hints(result)],
    )
    run.check_in_place()
    storage.write_text(run.report, text)
    return run.report


def own_names(model: Model) -> set[str]:
    """Names of all figures that a report of this model may draw, now or later.

    Files of other names were written by `mmvae figures` or the user, and stay.
    """
    return {
        *("prior", "latent-map", "latent-kl", "training", "observed"),
        *(f"coherence-{m}" for m in labels_of(model)),
        *(f"given-{m}" for m in model.modalities),
        *(f"{label}-to-{m}" for label, m in classified_pairs(model)),
    }


def files_in(figures: Path) -> dict[str, bytes]:
    """The contents of the files of a folder, by name; empty if it does not exist yet."""
    if not figures.is_dir():
        return {}
    with reported(figures):
        return {
            path.name: storage.read(path, MOST_OF_A_FIGURE)
            for path in figures.iterdir()
            if not path.is_dir()
        }


def summary(subject: ReportSubject) -> list[tuple[str, str]]:
    """The model, its data and the extent of its training."""
    env, result = subject.run.environment(), subject.evaluation
    model = subject.trained.model
    parameters = sum(p.numel() for p in model.parameters())
    items = env["data"]["items"]
    return [
        ("Run", str(subject.run.folder)),
        ("Model", f"{subject.experiment.model.kind}, {parameters:,} parameters"),
        ("Modalities", ", ".join(f"{m} ({c.kind})" for m, c in model.codecs.items())),
        ("Latent dimensions", str(model.latent_dim)),
        ("Data", f"{subject.experiment.data.source}: {count(items)}"),
        ("Weights of step", weights(result)),
        ("Evaluated", "; ".join([heading(result), *densities(result)])),
        ("Made with", f"mmvae {__version__}, torch {env.get('packages', {}).get('torch', '?')}"),
    ]


def count(items: dict[str, int]) -> str:
    """``"1,257 train, 180 validation"``."""
    return ", ".join(f"{items[split]:,} {split}" for split in SPLITS if split in items)


def commands(subject: ReportSubject) -> str:
    """The commands that reproduce everything, as a new run beside this one."""
    folder = subject.run.folder
    config, again = str(folder / "config.resolved.toml"), str(folder.with_name(f"{folder.name}-2"))
    if subject.experiment.data.source == "memory":
        return (
            f"import mmvae\n"
            f"from mmvae.report.report import report\n"
            f"# data: the items, which the run does not keep\n"
            f"mmvae.train({config!r}, data=data, run_dir={again!r})\n"
            f"mmvae.evaluate({again!r}, data=data)\n"
            f"report({again!r}, data=data)\n"
        )
    config, again = shlex.quote(config), shlex.quote(again)
    return (
        f"# as a new run, then its own evaluation and report\n"
        f"mmvae train {config} --run-dir {again}\n"
        f"mmvae evaluate {again}\n"
        f"mmvae report {again}\n"
    )
