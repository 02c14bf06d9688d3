"""An open run is the one bundle of a run with its model and data; figures take theirs from it."""

from __future__ import annotations

from pathlib import Path

from toys import toy_registry

from mmvae.experiments.open_run import open_run
from mmvae.report.report_subject import ReportSubject
from mmvae.report.subject import Subject


def test_what_figures_see_is_that_of_the_open_run(toy_run: Path) -> None:
    opened = open_run(toy_run, registry=toy_registry())
    for made in (Subject(opened, "test", 3), ReportSubject(opened, "test", 3, {})):
        assert made.run is opened.run
        assert made.experiment is opened.experiment
        assert made.trained is opened.trained
        assert made.step == opened.step
        assert (made.split, made.seed) == ("test", 3)
        assert len(made.batches) == len(opened.data.batches("test"))
        assert made.data.codecs is opened.data.codecs
