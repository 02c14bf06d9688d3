"""The observer's contract: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re

import pytest
import torch

from mmvae import ConfigError, Observer, ObserverConfig
from mmvae.testing import ObserverContract, verdicts, violations


class Diary(Observer):
    """Writes a file for each look, and draws from the global random state, as it may."""

    kind = "diary"

    def look(self, watched):
        if watched.folder is not None:
            (watched.folder / f"{watched.epoch}.txt").write_text(f"{watched.epoch}\n")
        return {"draw": (float(torch.rand(())), None), "epoch": (watched.epoch, 0.0)}


class TestDiary(ObserverContract):
    observer = Diary


class ForgetsItsName(Diary):
    def __init__(self, config, name):
        super().__init__(config, "diary")


class LooseConfig(ObserverConfig, extra="allow"):
    pass


class TakesAnyKey(Diary):
    Config = LooseConfig


class MaybeDue(Diary):
    def due(self, epoch, epochs):
        return None


class GivesANumber(Diary):
    def look(self, watched):
        return {"epoch": watched.epoch}


class Meddles(Diary):
    def look(self, watched):
        with torch.no_grad():
            next(watched.model.parameters()).add_(1)
        return {}


class Counts(Diary):
    """Its count is lost when a run is stopped."""

    looks = 0

    def look(self, watched):
        self.looks += 1
        return {"looks": (self.looks, None)}


class BeginsItsFileAnew(Diary):
    def begin(self, watched):
        if watched.folder is not None:
            (watched.folder / "diary.txt").write_text("")

    def look(self, watched):
        if watched.folder is not None:
            with (watched.folder / "diary.txt").open("a") as file:
                file.write(f"{watched.epoch}\n")
        return {}


BROKEN = [
    (ForgetsItsName, "test_declarations", "its table's name, 'observed', as name; got diary"),
    (TakesAnyKey, "test_config_survives_toml_and_has_a_schema", "unknown keys refused"),
    (MaybeDue, "test_due_answers_yes_or_no", "True or False for epoch 1; got None"),
    (GivesANumber, "test_looks_give_figures_with_errors", r"'epoch': \(value, .*; got 1\."),
    (Meddles, "test_the_training_is_left_alone", "all weights left as they are; got others in"),
    (Counts, "test_a_resumed_run_is_observed_alike", "'looks': .2, None.* after a stop too; got"),
    (
        BeginsItsFileAnew,
        "test_a_resumed_run_is_observed_alike",
        r"content of files after a stop too; got another of \['diary.txt'\]",
    ),
]


@pytest.mark.parametrize(
    ("kind", "check", "said"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN]
)
def test_a_broken_observer_is_caught_by_the_check_meant_for_it(kind, check, said):
    class Contract(ObserverContract):
        observer = kind

    assert re.search(said, violations(Contract())[check])


def test_every_check_has_an_observer_that_breaks_it():
    checks = {name for name in dir(ObserverContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN}


def test_an_observer_that_refuses_the_model_is_not_tried():
    class OfSound(Diary):
        def begin(self, watched):
            raise ConfigError("no sound.")

    class Contract(ObserverContract):
        observer = OfSound

    states = {v.check: v for v in verdicts(Contract())}
    assert states["test_the_training_is_left_alone"].reason == "it cannot watch a, b: no sound."
