"""One session of training: the first of a new run, or a further one of a run that stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mmvae.data.dataset import Data
from mmvae.data.extreme_values import extreme_items, naming_items
from mmvae.data.fillable import unfillable
from mmvae.data.item_names import look_alike_phrases
from mmvae.data.split_names import SplitName
from mmvae.experiments import build, compatibility
from mmvae.experiments.classifier_data import check_classifier_data
from mmvae.experiments.config import LoadedConfig, load_experiment
from mmvae.experiments.environment import described, environment, plugins_used
from mmvae.experiments.experiment import Experiment
from mmvae.experiments.run_end import finish, refusals_leave_nothing, write_failure
from mmvae.experiments.training_data import agreed, prepare_all, without_evaluation
from mmvae.foundations import storage
from mmvae.foundations.errors import DataError
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.foundations.randomness import kept_global
from mmvae.inference.model_folder import built
from mmvae.inference.trained_model import TrainedModel
from mmvae.models.trainable import Trainable
from mmvae.plugins.provenance import require_plugins
from mmvae.plugins.registry import Registry
from mmvae.plugins.smoke_test import blaming, smoke_test_all
from mmvae.runs.checkpoint_folder import Checkpoint
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run
from mmvae.training.distributed import everyone_follows, leading
from mmvae.training.observer import Observer
from mmvae.training.out_of_memory import memory_for_networks
from mmvae.training.progress import LoggedProgress
from mmvae.training.state import load_weights
from mmvae.training.step import Stepper
from mmvae.training.stop_conditions import Limits
from mmvae.training.trainer import Trainer
from mmvae.training.untrained import diverged


@dataclass(frozen=True)
class Result:
    """The outcome of a training.

    Attributes:
        outcome: ``"finished"`` or ``"stopped"`` (by a limit).
        run: The run's folder, or None if nothing was stored.
        model: The trained model: the best weights by validation, or the last ones.
        steps: Total number of optimizer steps.
    """

    outcome: str
    run: Path | None
    model: TrainedModel
    steps: int


@dataclass(frozen=True)
class Session:
    """The parts of a training, built from a config; :meth:`fit` trains in the run's folder.

    :meth:`new` and :meth:`reopen` build one. They are context managers that hold the run's lock;
    a refused new run is removed at the end.

    Attributes:
        experiment: The experiment.
        data: Its data.
        trained: Its model, with its initial weights, and the extensions around it.
        observers: Its observers.
        run: The run's folder, on the process that writes it; None on the others.
        accelerator: Devices, precision, processes, trackers.
        saved: The checkpoint to resume from; None in a new run, or one that saved nothing.
        changed: The whole config, if it differs from the run's: stored once it is known to fit.
    """

    experiment: Experiment
    data: Data
    trained: Trainable
    observers: Sequence[Observer]
    run: Run | None
    accelerator: Accelerator
    saved: Checkpoint | None = None
    changed: str | None = None

    @classmethod
    @contextmanager
    def new(
        cls,
        loaded: LoadedConfig,
        data: Any,
        registry: Registry,
        folder: Path,
        init_from: str | Path | None = None,
    ) -> Iterator[Session]:
        """Build everything, then create the run: a refused config leaves none behind.

        Args:
            loaded: The config.
            data: Items in memory, for a source in memory.
            registry: The plugins to choose from.
            folder: The run's folder.
            init_from: A run or model folder with the initial weights.
        """
        experiment = loaded.experiment
        accelerator = build.make_accelerator(experiment.train, folder)
        with blaming(registry):
            found = build.open_experiment_data(experiment, registry, data, accelerator)
            opened = agreed(found, experiment, accelerator)
            prepare_all(opened, accelerator)
            check_classifier_data(experiment, registry, data, opened.codecs)
            with memory_for_networks():
                smoke_test_all(opened)
        trained = build.build_trainable(experiment, registry, opened, init_from)
        watching = build.observers(experiment, registry, opened.codecs)
        env = environment(opened)
        if init_from is not None:
            env["init_from"] = str(Path(init_from).resolve())
        run = None
        with everyone_follows(accelerator):
            if leading(accelerator):
                used = plugins_used(experiment, registry)
                run = Run.create(folder, loaded.text, loaded.resolved_toml(), env, used)
        with locked(run, accelerator), refusals_leave_nothing(run):
            yield cls(experiment, opened, trained, watching, run, accelerator)

    @classmethod
    @contextmanager
    def reopen(
        cls,
        run: Run,
        data: Any,
        registry: Registry,
        overrides: Sequence[str] = (),
        checkpoint: str = "latest",
        other_data: bool = False,
    ) -> Iterator[Session]:
        """Lock a run, read its checkpoint, and build everything as it was.

        Args:
            run: Its folder.
            data: The items again, if the run was trained on data in memory.
            registry: The plugins to choose from.
            overrides: ``train`` keys to change.
            checkpoint: ``"latest"``, or a folder's name.
            other_data: True to resume with other data, which are the run's from then on.
        """
        require_plugins(run.plugins(), registry, run.folder)
        loaded = load_experiment(run.resolved, overrides, registry)
        recorded = load_experiment(run.resolved, (), registry)
        compatibility.refuse_another_experiment(recorded, loaded)
        experiment = loaded.experiment
        accelerator = build.make_accelerator(experiment.train, run.folder)
        own = run if leading(accelerator) else None
        with locked(own, accelerator):
            store = CheckpointStore(run.checkpoints, experiment.train.keep_checkpoints)
            saved = None if store.empty else store.load(checkpoint)
            states = None
            if saved is not None:
                model = built(saved, saved.path, registry).model  # refuses what does not fit
                compatibility.refuse_another_model(loaded, model, run)
                states = {m: codec.state for m, codec in model.codecs.items()}
            found = build.open_experiment_data(
                experiment, registry, data, accelerator, states, loaded.received
            )
            opened = agreed(found, experiment, accelerator)
            env = run.environment()
            if remark := compatibility.changed_data(run, opened):
                if not other_data:
                    raise DataError(
                        f"{remark} Use --other-data to resume if the items are the same as "
                        f"before. With other items, train a new run: mmvae train CONFIG "
                        f"--init-from {run.folder}"
                    )
                prepare_all(opened, accelerator)
                with everyone_follows(accelerator):
                    if own is not None:
                        env["data"] = described(opened)
                        storage.write_json(own.folder / "env.json", env)
            with everyone_follows(accelerator):
                if own is not None:
                    own.keep_plugins(plugins_used(experiment, registry))
            origin = env.get("init_from") if saved is None else None
            trained = build.build_trainable(experiment, registry, opened, origin)
            changed = loaded.resolved_toml() if overrides else None
            watching = build.observers(experiment, registry, opened.codecs)
            yield cls(experiment, opened, trained, watching, own, accelerator, saved, changed)

    def fit(self, limits: Limits, progress: Progress | None = None) -> Result:
        """Train in the run's folder; keep its status up to date, whatever happens.

        Args:
            limits: Limits that may end the training early.
            progress: Shows progress; only the process with the run does.
        """
        run, accelerator, trainer = self.run, self.accelerator, None
        logged = NOBODY if run is None else LoggedProgress(progress or NOBODY, run.log)
        with locked(run, accelerator), kept_global(accelerator.device), logged:
            try:
                trainer = self._trainer(logged)
                self._begin(trainer, logged)
                with naming_items(self.data):
                    outcome = trainer.fit(limits)
                finish(trainer, run, outcome)
                self._load_best(trainer)
            except BaseException as error:  # of any kind: the status records how the run ended
                if run is not None:
                    write_failure(run, error, trainer)
                raise
            finally:
                # Not end_training(): it would also end the process group, which belongs to the
                # caller, who may train again.
                for tracker in accelerator.trackers:
                    tracker.finish()
            # The status of the run is written: a failure here does not change it.
            self._say_diverged(trainer, logged)
        columns = {m: c.column or m for m, c in self.experiment.modalities.items()}
        folder = None if run is None else run.folder
        model = TrainedModel(self.trained.bare, columns, folder)
        return Result(outcome, folder, model, trainer.state.position.step)

    def _trainer(self, progress: Progress) -> Trainer:
        """The training loop, at its first step or at that of the checkpoint."""
        with memory_for_networks():
            self.trained.to(self.accelerator.device)
        data, train, evaluate = self.data, self.experiment.train, self.experiment.evaluate
        validation = "validation" in data.splits
        trainer = Trainer(
            Stepper(self.trained, data.batches("train"), train, self.accelerator),
            data.batches("validation") if validation else None,
            self.run,
            progress,
            evaluate.batch_size,
            observers=self.observers,
        )
        if self.saved is not None:
            trainer.checkpoints.restore(self.saved)
        return trainer

    def _begin(self, trainer: Trainer, progress: Progress) -> None:
        """Mark the run as running, and report unusual properties of its data."""
        run, data, first = self.run, self.data, self.saved is None
        for doubt in data.source.doubts() if run is not None and first else ():
            progress.say(doubt)
        self.accelerator.init_trackers("tensorboard")
        if run is not None:
            if self.changed is not None:
                storage.write_text(run.resolved, self.changed)
            if run.model.is_dir():  # until a new one is written, the latest checkpoint is used
                storage.remove_folder(run.model)
            run.write_status("running", step=trainer.state.position.step, message="training")
        split = self.experiment.evaluate.split
        if split not in data.splits:
            progress.say(without_evaluation(split, data))
        if first and run is not None:
            for m, codec in data.codecs.items():
                for phrase in look_alike_phrases(codec):
                    progress.say(f"Modality {m!r}: {phrase}.")
            for m, phrase in unfillable(data.codecs, data.columns, data.items("train")):
                progress.say(f"Modality {m!r}: {phrase}.")
            for remark in extreme_items(data):
                progress.say(remark)

    def _load_best(self, trainer: Trainer) -> None:
        """Give the model the best weights by validation, or the last ones."""
        best = trainer.state.best_weights
        origin = "the best weights" if best else "the last weights"
        load_weights(self.trained.bare, best or trainer.state.weights(), origin)

    def _say_diverged(self, trainer: Trainer, progress: Progress) -> None:
        """Say so if the model is far worse than before its training."""
        if not leading(self.accelerator) or not trainer.state.position.step:
            return
        split: SplitName = "train" if trainer.validation is None else "validation"
        items, size = self.data.batches(split), self.experiment.evaluate.batch_size
        seed, patterns = self.experiment.train.seed, self.data.patterns
        if (far := diverged(self.trained.bare, items, size, seed, patterns)) is not None:
            progress.say(f"on {split} items {far}")


@contextmanager
def locked(run: Run | None, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run's lock on the process with the run; if it is in use, all processes stop."""
    with ExitStack() as stack:
        with everyone_follows(accelerator):
            if run is not None:
                stack.enter_context(run.locked())
        yield
