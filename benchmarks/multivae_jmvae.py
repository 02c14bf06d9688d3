"""A row of a study by another library: MultiVae's JMVAE on the same items, steps and judges.

    python benchmarks/multivae_jmvae.py examples/many/many-modalities.toml --like singletons \
        --schedule complete --results docs/results -s data.root=data/mnist

MultiVae (``pip install multivae==1.0.3``, Senellart et al. 2025) is no dependency of mmvae:
install both into an environment of its own. Data, networks, weights of the likelihoods, width of
z, α of each subset, batch size, steps, optimizer and schedule of the rate are those of a row of
the study. Objective, training loop, choice of the best weights (on up to 1,000 validation items,
after each epoch) and products of experts are MultiVae's own. Its JMVAE takes complete items
only: all others are left out, and the rest passed more often, for as many steps. The result is
written where ``mmvae reproduce`` would write that of a row.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
import torch
from multivae.data.datasets.base import DatasetOutput, MultimodalBaseDataset
from multivae.models import JMVAE, JMVAEConfig
from multivae.models.base.base_utils import stable_poe
from multivae.models.nn.base_architectures import BaseDecoder, BaseEncoder, BaseJointEncoder
from multivae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.models.base.base_utils import ModelOutput
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.classifiers import Classifiers
from mmvae.evaluation.coherence_matrix import coherence_matrix
from mmvae.experiments.build import make_accelerator, open_experiment_data
from mmvae.experiments.classifier_data import classifier_batches
from mmvae.experiments.config import load_experiment
from mmvae.experiments.environment import environment
from mmvae.experiments.experiment import Experiment
from mmvae.experiments.study.record import Record, hardware, write_record
from mmvae.experiments.study.row import Row, load_rows
from mmvae.experiments.study.study import load_study
from mmvae.foundations.toml import parse
from mmvae.modalities.codec import Codec
from mmvae.models.base import Model
from mmvae.models.phase import Phase, Terms
from mmvae.models.posterior_network import PosteriorNetwork
from mmvae.models.posteriors import DiagonalGaussian
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry

NAME, LABEL = "multivae-jmvae", "(d) MultiVae's JMVAE"
VALIDATION = 1000
"""Most items on which MultiVae's trainer looks for the best weights."""


def main() -> None:
    """Train, judge, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--like", required=True, help="The row whose settings it takes.")
    parser.add_argument("--schedule")
    parser.add_argument("--results", type=Path, default=Path("runs", "results"))
    parser.add_argument("--work", type=Path, default=Path("runs", "multivae"))
    parser.add_argument("-s", "--set", action="append", default=[], help="A key of the row.")
    arguments = parser.parse_args()
    study, registry = load_study(arguments.study), load_registry()
    schedule, _ = study.schedule(arguments.schedule)
    overrides = [*arguments.set, 'data.incomplete="discard"']
    [row] = load_rows(study, schedule, overrides, [arguments.like], registry)
    experiment = row.loaded.experiment
    accelerator = make_accelerator(experiment.train)
    data = open_experiment_data(experiment, registry, None, accelerator)
    torch.manual_seed(experiment.train.seed)
    items, warmup = planned_items(row, registry), experiment.train.warmup_steps or 1
    warmup = math.ceil(warmup * experiment.train.batch_size / items)  # theirs is by epochs
    model = their_model(experiment, data.codecs, warmup)
    began = time.perf_counter()
    epochs, steps = train(model, experiment, data.batches, items, arguments)
    seconds = time.perf_counter() - began
    judged = classifier(Theirs(experiment.model, data.codecs, model), data, row, registry)
    state = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    env = environment(data)
    record = Record(
        study=study.name,
        schedule=schedule,
        row=NAME,
        label=LABEL,
        source="",
        published={},
        config=told(row),
        config_hash=hashlib.sha256(told(row).encode()).hexdigest()[:16],
        cells={},
        other={"coherence matrix": judged},
        nats={},
        split=experiment.evaluate.split,
        items=len(data.batches(experiment.evaluate.split)),
        k=experiment.evaluate.samples,
        seed=experiment.train.seed,
        epochs=epochs,
        steps=steps,
        weights={"step": steps, "sha256": hashlib.sha256(b"".join(state.values())).hexdigest()},
        training_seconds=round(seconds, 1),
        hardware=hardware(env),
        versions={"mmvae": env["mmvae"], "python": env["python"], **env["packages"]}
        | {"multivae": version("multivae")},
        data=env["data"],
        first_steps=[],
    )
    print(write_record(arguments.results, record))


def planned_items(row: Row, registry: Registry) -> int:
    """Training items of the row itself, by which an epoch is counted."""
    whole = [*row.loaded.overrides, 'data.incomplete="keep"']
    experiment = load_experiment(row.loaded.source, whole, registry).experiment
    return len(registry.find("source", experiment.data.source)(experiment.data).splits()["train"])


class Encoder(BaseEncoder):  # type: ignore[misc]
    """q(z|x_m), by the network that the row has for it."""

    def __init__(self, modality: str, network: PosteriorNetwork, latent_dim: int) -> None:
        super().__init__()
        self.modality, self.network, self.latent_dim = modality, network, latent_dim

    def forward(self, x: Tensor) -> ModelOutput:
        """Model input (b, event…) → mean and log-variance, (b, d)."""
        q = self.network({self.modality: x})
        return ModelOutput(embedding=q.mean, log_covariance=q.log_variance)


class JointEncoder(BaseJointEncoder):  # type: ignore[misc]
    """q(z|x_M), by the network that the row has for it."""

    def __init__(self, network: PosteriorNetwork, latent_dim: int) -> None:
        super().__init__()
        self.network, self.latent_dim = network, latent_dim

    def forward(self, x: Mapping[str, Tensor]) -> ModelOutput:
        """Modality → model input (b, event…) → mean and log-variance, (b, d)."""
        q = self.network(x)
        return ModelOutput(embedding=q.mean, log_covariance=q.log_variance)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """The codec's own decoder: pixels' means, or logits of classes."""

    def __init__(self, codec: Codec, latent_dim: int) -> None:
        super().__init__()
        self.network = codec.decoder(latent_dim)

    def forward(self, z: Tensor) -> ModelOutput:
        """Latents (b, d) → parameters."""
        return ModelOutput(reconstruction=self.network(z))


def their_model(experiment: Experiment, codecs: Mapping[str, Codec], warmup: int) -> JMVAE:
    """MultiVae's JMVAE with the networks and weights of a row with trunks of their own."""
    c, n = experiment.model, len(codecs)

    def network(names: list[str]) -> PosteriorNetwork:
        return PosteriorNetwork(
            {m: codecs[m].encoder() for m in names},
            {m: codecs[m].feature_dim for m in names},
            c.latent_dim,
            c.fusion,
            c.fusion_dim,
            c.activation,
            c.variance,
        )

    config = JMVAEConfig(
        n_modalities=n,
        latent_dim=c.latent_dim,
        input_dims={m: tuple(codec.event_shape) for m, codec in codecs.items()},
        uses_likelihood_rescaling=True,
        rescale_factors={m: float(codec.config.weight) for m, codec in codecs.items()},
        decoders_dist={
            m: "categorical" if codec.classes else "normal" for m, codec in codecs.items()
        },
        decoder_dist_params={
            m: {"scale": math.sqrt(codec.config.variance)}
            for m, codec in codecs.items()
            if not codec.classes
        },
        alpha=2 * c.alpha / n,  # of each modality's divergence: α_S of the singletons
        warmup=warmup,
    )
    joint = network(list(codecs))
    joint.start_at(c.start_variance)
    return JMVAE(
        config,
        encoders={m: Encoder(m, network([m]), c.latent_dim) for m in codecs},
        decoders={m: Decoder(codec, c.latent_dim) for m, codec in codecs.items()},
        joint_encoder=JointEncoder(joint, c.latent_dim),
    )


class Items(MultimodalBaseDataset):  # type: ignore[misc]
    """Prepared items, passed again and again until an epoch is as long as it should be."""

    def __init__(self, batches: Batches, most: int, length: int | None = None) -> None:
        n = min(len(batches), most)
        parts = [batches.fixed(slice(i, min(i + 500, n))).x for i in range(0, n, 500)]
        super().__init__({m: torch.cat([part[m] for part in parts]) for m in parts[0]})
        self.count, self.length = n, length or n

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DatasetOutput:
        return DatasetOutput(data={m: x[index % self.count] for m, x in self.data.items()})


def train(
    model: JMVAE, experiment: Experiment, batches: Any, items: int, arguments: argparse.Namespace
) -> tuple[int, int]:
    """Train by MultiVae's trainer; the model gets the weights that it chose.

    Returns:
        Epochs and steps.
    """
    c = experiment.train
    config = BaseTrainerConfig(
        output_dir=str(arguments.work),
        per_device_train_batch_size=c.batch_size,
        per_device_eval_batch_size=500,
        num_epochs=c.epochs,
        learning_rate=c.learning_rate,
        scheduler_cls="CosineAnnealingLR" if c.schedule == "cosine" else None,
        scheduler_params={"T_max": c.epochs} if c.schedule == "cosine" else None,
        seed=c.seed,
        no_cuda=True,
    )
    trainer = BaseTrainer(
        model,
        train_dataset=Items(batches("train"), items, items),
        eval_dataset=Items(batches("validation"), VALIDATION),
        training_config=config,
    )
    trainer.train()
    model.load_state_dict(trainer._best_model.state_dict())
    return c.epochs, c.epochs * math.ceil(items / c.batch_size)


class Theirs(Model):
    """MultiVae's JMVAE as mmvae's figures see a model."""

    kind = NAME

    def __init__(self, config: Any, codecs: Mapping[str, Codec], jmvae: JMVAE) -> None:
        super().__init__(config, codecs)
        self.jmvae = jmvae

    @property
    def latent_dim(self) -> int:
        """Dimensions of z."""
        return int(self.jmvae.latent_dim)

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        """q(z|x_S): of one modality its encoder's, of several MultiVae's product of experts."""
        if set(observed) == set(self.modalities):
            found = self.jmvae.joint_encoder(observed)
            return DiagonalGaussian(found.embedding, found.log_covariance)
        found = [self.jmvae.encoders[m](x) for m, x in observed.items()]
        means, logs = ([q[key] for q in found] for key in ("embedding", "log_covariance"))
        return DiagonalGaussian(*stable_poe(torch.stack(means), torch.stack(logs)))

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        """N(0, I)."""
        return DiagonalGaussian.standard(torch.zeros(b, self.latent_dim))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Any:
        """Decode latents (n, d)."""
        return self.jmvae.decoders[modality](z).reconstruction

    def supports(self, targets: Any, given: Any, proposal: Any) -> None:
        """Whatever is given can be multiplied."""

    def phases(self) -> list[Phase]:
        """MultiVae trains it."""
        return []

    def objective(self, *arguments: Any) -> Terms:
        """MultiVae trains it."""
        raise NotImplementedError


def classifier(model: Model, data: Any, row: Row, registry: Registry) -> dict[str, Any]:
    """The coherence matrix, by the judges that the study's rows have."""
    experiment = row.loaded.experiment
    config = experiment.evaluate
    device = make_accelerator(experiment.train).device
    classifiers = Classifiers(
        classifier_batches(experiment, registry, None, data.codecs, device), config.seed
    )
    return coherence_matrix(model.eval(), data.batches(config.split), classifiers, config)


def told(row: Row) -> str:
    """The row's configuration, with what MultiVae takes of ``[model]``."""
    values = parse(row.recorded.resolved_toml(), row.name)
    taken = ("latent_dim", "alpha", "fusion", "fusion_dim", "activation", "variance")
    values["model"] = {"kind": NAME} | {k: values["model"][k] for k in taken}
    return tomli_w.dumps(values)


if __name__ == "__main__":
    main()
