"""A run's figures and its ``report.html``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from mmvae import __version__, storage
from mmvae.evaluation.coherence import judged_pairs
from mmvae.evaluation.matrix import labels_of
from mmvae.evaluation.steps import Step, quiet
from mmvae.models.protocol import Model
from mmvae.report.canvas import Picture, require_matplotlib
from mmvae.report.curves import observed_curves, training_curves
from mmvae.report.diagnostics import dimension_kl
from mmvae.report.html import page
from mmvae.report.latent import latent_map
from mmvae.report.material import Material
from mmvae.report.matrix import coherence_maps
from mmvae.report.pictures import class_samples, prior_samples, reconstructions
from mmvae.report.tables import densities, heading, hints, left_out, tables, weights
from mmvae.source import SPLITS

FIGURES: tuple[Callable[[Material], list[Picture]], ...] = (
    class_samples,
    reconstructions,
    prior_samples,
    coherence_maps,
    latent_map,
    dimension_kl,
    training_curves,
    observed_curves,
)
"""What a report shows, in its order."""


MOST_OF_A_FIGURE = 1 << 28
"""Bytes of the largest file in a folder of figures."""


def write_report(material: Material, step: Step = quiet) -> Path:
    """Draw the figures into ``RUN/figures`` and write ``RUN/report.html``.

    Args:
        material: The run and its evaluation.
        step: Told of progress.

    Returns:
        The path of the report.

    Raises:
        UsageError: matplotlib is not installed.
        TrainingError: The system refused to write.
    """
    require_matplotlib()
    run, pictures = material.run, []
    for done, draw in enumerate(FIGURES):
        step("drawing", done, len(FIGURES))
        pictures += draw(material)
    step("drawing", len(FIGURES), len(FIGURES))
    own = {f"{name}.png" for name in own_names(material.trained.model)}
    kept = {name: data for name, data in files_in(run.figures).items() if name not in own}
    with storage.staged_folder(run.figures, replace=True) as folder:
        for name, content in kept.items():
            storage.put(folder / name, content)
        for picture in pictures:
            storage.put(storage.within(folder, f"{picture.name}.png"), picture.png)
    result = material.evaluation
    text = page(
        title=f"{material.experiment.name}: report of a run",
        summary=summary(material),
        tables=tables(result),
        pictures=pictures,
        commands=commands(material),
        config=run.resolved.read_text(encoding="utf-8"),
        notes=[*left_out(result), *hints(result)],
    )
    storage.write_text(run.report, text)
    return run.report


def own_names(model: Model) -> set[str]:
    """Names of all pictures that a report of this model may draw, whatever it draws today.

    Files of other names were written by `mmvae figures` or the user, and stay.
    """
    return {
        *("prior", "latent-map", "latent-kl", "training", "observed"),
        *(f"coherence-{m}" for m in labels_of(model)),
        *(f"given-{m}" for m in model.modalities),
        *(f"{label}-to-{m}" for label, m in judged_pairs(model)),
    }


def files_in(figures: Path) -> dict[str, bytes]:
    """What the files of a folder hold, by name; nothing, if it is not there yet."""
    if not figures.is_dir():
        return {}
    with storage.reported(figures):
        return {
            path.name: storage.read(path, MOST_OF_A_FIGURE)
            for path in figures.iterdir()
            if not path.is_dir()
        }


def summary(material: Material) -> list[tuple[str, str]]:
    """What was trained, on what, and how far."""
    env, result = material.run.environment(), material.evaluation
    model = material.trained.model
    parameters = sum(p.numel() for p in model.parameters())
    items = env.get("data", {}).get("items", {})
    return [
        ("Run", str(material.run.folder)),
        ("Model", f"{material.experiment.model.kind}, {parameters:,} parameters"),
        ("Modalities", ", ".join(f"{m} ({c.kind})" for m, c in model.codecs.items())),
        ("Latent dimensions", str(model.latent_dim)),
        ("Data", f"{material.experiment.data.source}: {count(items)}"),
        ("Weights of step", weights(result)),
        ("Evaluated", "; ".join([heading(result), *densities(result)])),
        ("Made with", f"mmvae {__version__}, torch {env.get('packages', {}).get('torch', '?')}"),
    ]


def count(items: dict[str, int]) -> str:
    """``"1,257 train, 180 validation"``."""
    return ", ".join(f"{items[split]:,} {split}" for split in SPLITS if split in items)


def commands(material: Material) -> str:
    """What to type to do all of it again, as a new run beside this one."""
    folder = material.run.folder
    config, again = str(folder / "config.resolved.toml"), str(folder.with_name(f"{folder.name}-2"))
    if material.experiment.data.source == "memory":
        return (
            f"import mmvae.results\n"
            f"# data: the items, which the run does not keep\n"
            f"mmvae.train({config!r}, data=data, run_dir={again!r})\n"
            f"mmvae.evaluate({again!r}, data=data)\n"
            f"mmvae.results.report({again!r}, data=data)\n"
        )
    config, again = shlex.quote(config), shlex.quote(again)
    return (
        f"# as a new run, then its own evaluation and report\n"
        f"mmvae train {config} --run-dir {again}\n"
        f"mmvae evaluate {again}\n"
        f"mmvae report {again}\n"
    )
