"""All observers of a training: called in turn, with the model and all randomness as they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmvae.errors import TrainingError
from mmvae.randomness import derived_seed, seeded_global
from mmvae.training.observer import Observer, Watched


class Audience:
    """The observers of a training.

    Args:
        observers: In the order in which they are called.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.observers = list(observers)

    def begin(self, watched: Watched) -> None:
        """Tell all that the training begins, or goes on."""
        for observer in self.observers:
            with untouched(observer, watched):
                observer.begin(watched)

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether one wants to look after this epoch, counted from 1."""
        return any(observer.due(epoch, epochs) for observer in self.observers)

    def look(self, watched: Watched) -> dict[str, Any]:
        """What those find out that look after this epoch: figures, and their ``errors``."""
        figures: dict[str, float] = {}
        errors: dict[str, float] = {}
        for observer in self.observers:
            if not observer.due(watched.epoch, watched.epochs):
                continue
            with untouched(observer, watched):
                found = observer.look(watched)
            for name, (value, error) in found.items():
                figures[name] = value
                if error is not None:
                    errors[name] = error
        return {**figures, "errors": errors} if figures else {}

    def end(self, watched: Watched) -> None:
        """Tell all that the training is over."""
        for observer in self.observers:
            with untouched(observer, watched):
                observer.end(watched)


@contextmanager
def untouched(observer: Observer, watched: Watched) -> Iterator[None]:
    """Let one observer look: the model in eval mode, then as it was, and so all randomness.

    Raises:
        TrainingError: It changed a weight; the training is not what it was.
    """
    model = watched.model
    modes = {module: module.training for module in model.modules()}
    before = {name: value._version for name, value in model.state_dict(keep_vars=True).items()}
    model.eval()
    try:
        with seeded_global(derived_seed(watched.seed, "observer", observer.name, watched.epoch)):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
    after = {name: value._version for name, value in model.state_dict(keep_vars=True).items()}
    for name, version in after.items():
        if version != before.get(name):
            raise TrainingError(
                f"observers.{observer.name}: the observer {observer.kind!r} changed {name!r} of "
                f"the model; expected it to leave all weights alone. Take its table out of the "
                f"config."
            )
