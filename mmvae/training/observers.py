"""The observers of a training, called in turn; model and random state are restored after each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmvae.foundations.errors import PluginError, TrainingError, naming
from mmvae.foundations.randomness import derived_seed, seeded_global
from mmvae.training.observer import Observer, Watched


class Observers:
    """The observers of a training.

    Args:
        observers: In the order in which they are called.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.observers = list(observers)

    def begin(self, watched: Watched) -> None:
        """Call every observer at the start or resumption of the training."""
        for observer in self.observers:
            with untouched(observer, watched, "begin"):
                observer.begin(watched)

    def due(self, epoch: int, epochs: int) -> bool:
        """True if an observer is due after this epoch, counted from 1."""
        return any(observer.due(epoch, epochs) for observer in self.observers)

    def look(self, watched: Watched) -> dict[str, Any]:
        """The statistics of the observers that are due after this epoch, and their ``errors``."""
        statistics: dict[str, float] = {}
        errors: dict[str, float] = {}
        for observer in self.observers:
            if not observer.due(watched.epoch, watched.epochs):
                continue
            with untouched(observer, watched, "look"):
                found = observer.look(watched)
            for name, (value, error) in _checked(observer, found).items():
                statistics[name] = value
                if error is not None:
                    errors[name] = error
        return {**statistics, "errors": errors} if statistics else {}

    def end(self, watched: Watched) -> None:
        """Call every observer at the end of the training."""
        for observer in self.observers:
            with untouched(observer, watched, "end"):
                observer.end(watched)


@contextmanager
def untouched(observer: Observer, watched: Watched, doing: str) -> Iterator[None]:
    """Call one observer with the model in eval mode; restore its mode and all random state.

    Args:
        observer: Named in the message if it fails.
        watched: The training that it sees.
        doing: The method that is called.

    Raises:
        PluginError: It failed.
        TrainingError: It changed a weight; the training is no longer reproducible.
    """
    model = watched.model
    modes = {module: module.training for module in model.modules()}
    before = {name: value._version for name, value in model.state_dict(keep_vars=True).items()}
    model.eval()
    try:
        seed = derived_seed(watched.seed, "observer", observer.name, watched.epoch)
        with seeded_global(seed), naming(_title(observer), doing):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
    after = {name: value._version for name, value in model.state_dict(keep_vars=True).items()}
    for name, version in after.items():
        if version != before.get(name):
            raise TrainingError(
                f"{_title(observer)} changed {name!r} of "
                f"the model; expected it to change no weights. Remove its table from the "
                f"config."
            )


def _title(observer: Observer) -> str:
    return f"observers.{observer.name}: the observer {observer.kind!r}"


def _checked(observer: Observer, found: Any) -> Mapping[str, tuple[float, float | None]]:
    """Check the types of an observer's result.

    Raises:
        PluginError: It breaks its contract.
    """

    def sound(statistic: Any) -> bool:
        if not (isinstance(statistic, tuple) and len(statistic) == 2):
            return False
        value, error = statistic
        return isinstance(value, (int, float)) and isinstance(error, (int, float, type(None)))

    wrong = "" if isinstance(found, Mapping) else repr(found)
    if not wrong:
        odd = [f"{n!r}: {f!r}" for n, f in found.items() if not (isinstance(n, str) and sound(f))]
        wrong = ", ".join(odd)
    if wrong:
        raise PluginError(
            f"{_title(observer)} returned {wrong} from look; expected a mapping of names to "
            f"(value, standard error or None), both floats. Remove its table from the config, or "
            f"report the error to its authors."
        )
    return dict(found)
