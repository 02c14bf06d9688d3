"""The conformance suite for observers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from mmvae.foundations.errors import ConfigError
from mmvae.foundations.randomness import derived_seed, seeded_global
from mmvae.testing import stage
from mmvae.testing.contract import not_tried, require, require_config, require_offer
from mmvae.testing.suite import Suite
from mmvae.training.observer import Observer, Watched

NAME = "observed"
"""The name of the observer's table."""

_N, _EPOCHS = 24, 3


class ObserverContract(Suite):
    """Checks that an observer keeps the contract of :class:`mmvae.Observer`.

    Set :attr:`observer`, and :attr:`keys` where its keys have no defaults. It observes a small
    JMVAE of the modalities ``a``, grey pictures, and ``b``, attributes of ±1; override
    :meth:`make_watched` for others.
    """

    role = "observer"
    on_stage = True

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_looks_give_figures_with_errors",
    )

    observer: ClassVar[type[Observer] | None] = None
    """The class under test; unless :meth:`make_observer` makes one."""

    def make_observer(self) -> Observer:
        """A fresh observer."""
        observer: Observer = self.under_test()(self.make_config(), NAME)
        return observer

    def make_watched(self, folder: Path | None, epoch: int) -> Watched:
        """A training after this epoch, the same at every call."""
        train, validation = stage.items(_N), stage.items(_N, 1)
        return Watched(stage.model(), train, validation, 0, _N, folder, epoch, epoch, _EPOCHS)

    def test_declarations(self) -> None:
        """The observer has a kind, a config class and the name of its table."""
        observer = self.make_observer()
        require_offer("observer", type(observer))
        require(observer.name == NAME, f"its table's name, {NAME!r}, as name", observer.name)

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_observer().config)

    def test_due_answers_yes_or_no(self) -> None:
        """``due`` returns True or False for each epoch, counted from 1."""
        observer = self.make_observer()
        for epoch in range(1, _EPOCHS + 1):
            answer = observer.due(epoch, _EPOCHS)
            require(isinstance(answer, bool), f"True or False for epoch {epoch}", repr(answer))

    def test_looks_give_figures_with_errors(self) -> None:
        """``look`` maps names to (value, standard error or None)."""
        with _folder() as folder:
            found = self._looked(self.make_observer(), folder, (1,))[0]
        require(isinstance(found, Mapping), "look to give values by name, perhaps none", found)
        for name, statistic in found.items():
            pair = isinstance(statistic, tuple) and len(statistic) == 2
            sound = pair and isinstance(statistic[0], (int, float))
            sound = sound and isinstance(statistic[1], (int, float, type(None)))
            require(
                sound, f"{name!r}: (value, standard error or None), both floats", repr(statistic)
            )

    def test_the_training_is_left_alone(self) -> None:
        """An observer changes no weight of the model."""
        watched = self.make_watched(None, 1)
        before = {name: value.clone() for name, value in watched.model.state_dict().items()}
        observer = self.make_observer()
        self._begun(observer, watched)
        for call in (observer.look, observer.end):
            with _seeded(observer, watched):
                call(watched)
        after = watched.model.state_dict()
        changed = [name for name, value in before.items() if not value.equal(after[name])]
        require(not changed, "all weights left as they are", f"others in {changed}")

    def test_a_resumed_run_is_observed_alike(self) -> None:
        """``look`` needs no state of earlier looks: a new observer gives the same values."""
        with _folder() as whole, _folder() as parts:
            stayed = self._looked(self.make_observer(), whole, (1, 2))[-1]
            self._looked(self.make_observer(), parts, (1,))
            resumed = self._looked(self.make_observer(), parts, (2,))[-1]
            require(dict(stayed) == dict(resumed), f"{dict(stayed)} after a stop too", resumed)
            files = [_files(folder) for folder in (whole, parts)]
        names = sorted(files[0])
        require(names == sorted(files[1]), f"the files {names} after a stop too", sorted(files[1]))
        other = [name for name in names if files[0][name] != files[1][name]]
        require(not other, "the same content of files after a stop too", f"another of {other}")

    def _looked(self, observer: Observer, folder: Path, epochs: tuple[int, ...]) -> list[Any]:
        """The results after each of these epochs, for an observer that began before the first."""
        self._begun(observer, self.make_watched(folder, epochs[0] - 1))
        found = []
        for watched in (self.make_watched(folder, epoch) for epoch in epochs):
            with _seeded(observer, watched):
                found.append(observer.look(watched))
        return found

    def _begun(self, observer: Observer, watched: Watched) -> None:
        """Begin; a check ends as not tried if the observer refuses the model."""
        try:
            with _seeded(observer, watched):
                observer.begin(watched)
        except ConfigError as error:
            not_tried(f"it cannot watch {', '.join(watched.model.modalities)}: {error}")


def _seeded(observer: Observer, watched: Watched) -> AbstractContextManager[None]:
    """Set torch's global random state, as the core does around each call."""
    return seeded_global(derived_seed(watched.seed, "observer", observer.name, watched.epoch))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
