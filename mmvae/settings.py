"""The tables of a configuration that are the core's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmvae.source import SplitName
from mmvae.toml import literal

FIXED_KEYS = ("batch_size", "drop_last", "seed", "freeze")
"""Keys of ``[train]`` that a run keeps: its order of items depends on them, or what is trained."""

Rate = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A table of the configuration: its keys are known, checked and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainConfig(Section):
    """``[train]``: how the model is fitted."""

    epochs: int = Field(100, ge=1, description="Passes over the training split.")
    batch_size: int = Field(
        100, ge=1, description="Items per step, over all processes and accumulation steps."
    )
    accumulation: int = Field(
        1, ge=1, description="Parts in which a process computes the gradient of its batch."
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Governs weights, order of items and every draw."
    )
    freeze: list[str] = Field(
        [],
        description="Weights that stay as they begin, by what their names begin with, such as "
        "'decoders' or 'encoders.joint_posterior'; of use with --init-from.",
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimizer.")
    learning_rate: float = Field(1e-3, gt=0, description="Step size of the optimizer.")
    betas: tuple[Rate, Rate] = Field(
        (0.9, 0.999), description="Decay of Adam's two moments; adam and adamw only."
    )
    eps: float = Field(1e-8, gt=0, description="Added to Adam's denominator; adam and adamw only.")
    momentum: Rate = Field(0.0, description="Momentum; sgd only.")
    weight_decay: float = Field(
        0.0, ge=0, description="Weight decay: decoupled with adamw, an L2 term otherwise."
    )
    clip_norm: float | None = Field(
        None, gt=0, description="Clip the gradient to this total norm; done before clip_value."
    )
    clip_value: float | None = Field(
        None, gt=0, description="Clip each element of the gradient to ± this."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the learning rate goes to final_learning_rate."
    )
    schedule_warmup_steps: int = Field(
        0, ge=0, description="Steps over which the learning rate first rises linearly from 0."
    )
    final_learning_rate: float = Field(
        0.0, ge=0, description="Learning rate at the last step; linear and cosine only."
    )
    warmup_epochs: int = Field(
        0,
        ge=0,
        description="Epochs over which the regularisation weight β rises linearly from 0 to 1.",
    )
    warmup_steps: int | None = Field(
        None,
        ge=1,
        description="Steps over which β rises linearly to 1, in place of warmup_epochs, for "
        "trainings of few, long epochs; the first step has 1 / warmup_steps.",
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the running mean of the weights that is kept beside them, and "
        "validated and used in their place; it grows from 0 to this value over the first steps.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision of the networks; likelihoods and KL are float32."
    )
    compile: bool = Field(False, description="Compile the networks with torch.compile.")
    device: Literal["auto", "cpu"] = Field(
        "auto", description="Where to train: the accelerator if there is one, or the CPU."
    )
    threads: int | None = Field(
        None, ge=1, description="CPU threads per process; as torch finds them unless given."
    )
    drop_last: bool = Field(
        False, description="Leave out the last batch of an epoch if it is not full."
    )
    validate_every: int = Field(1, ge=1, description="Epochs from one validation to the next.")
    monitor: Literal["objective", "elbo"] = Field(
        "objective",
        description="Validation figure by which the best checkpoint is chosen, from when a fitted "
        "prior or an adversary has begun.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Stop after so many validations without a new best, counted from when β is 1, "
        "the learning rate has risen, and every phase has begun.",
    )
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="Steps between checkpoints; by checkpoint_minutes alone unless given.",
    )
    checkpoint_minutes: float = Field(
        5.0, gt=0, description="Save a checkpoint at the latest after so many minutes."
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="Latest checkpoints to keep; each also holds the best weights so far."
    )
    log_every: int = Field(50, ge=1, description="Steps between lines of metrics.jsonl.")
    trackers: list[Literal["tensorboard"]] = Field(
        [], description="Where metrics go besides metrics.jsonl."
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        """Refuse keys that would have no effect."""
        if self.accumulation > self.batch_size:
            raise ValueError(
                f"accumulation = {self.accumulation} parts of a batch of {self.batch_size} "
                f"leave some empty; expected accumulation <= batch_size."
            )
        if self.warmup_steps is not None and self.warmup_epochs:
            raise ValueError(
                f"warmup_steps = {self.warmup_steps} and warmup_epochs = {self.warmup_epochs}: β "
                f"grows by steps or by epochs; leave one of the two out."
            )
        adam = self.optimizer != "sgd"
        idle = {
            "momentum": adam,
            "betas": not adam,
            "eps": not adam,
            "final_learning_rate": self.schedule == "constant",
        }
        for key, unused in idle.items():
            if unused and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} = {literal(getattr(self, key))} has no effect with optimizer = "
                    f"{self.optimizer!r} and schedule = {self.schedule!r}; leave it out."
                )
        return self


class EvaluateConfig(Section):
    """``[evaluate]``: which figures are computed, and how."""

    split: SplitName = Field("test", description="Items to evaluate on.")
    batch_size: int = Field(500, ge=1, description="Items evaluated at once.")
    bounds: list[str] = Field(
        [],
        description="Cells of importance-weighted figures: 'standard', or a list such as "
        "['image', 'image|label@single']; the ELBO alone unless given.",
    )
    samples: int = Field(1000, ge=1, description="k, samples of z per item and cell.")
    given_from: Literal["posterior", "prior"] = Field(
        "posterior",
        description="Where log p(x_G) of a conditional gets its samples: from q(z|x_G), or from "
        "the prior (the paper).",
    )
    given_samples: int | None = Field(
        None, ge=1, description="Samples that log p(x_G) gets; as many as samples unless given."
    )
    memory: int = Field(
        512, ge=1, description="MiB that the samples of a cell may take at once, whatever k is."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Governs every draw of an evaluation.")
    coherence: bool = Field(
        True, description="Judge generated values by a classifier where a modality has classes."
    )
    coherence_samples: int = Field(
        1000,
        ge=1,
        description="Generated items to judge; of the split, so many drawn at random by the seed.",
    )
    judge_data: dict[str, Any] = Field(
        {},
        description="Keys of [data] that are others for the training items that the classifiers "
        "learn from, such as { gaps = 0.0 }: so models of different data have the same judges.",
    )


class ReferenceConfig(Section):
    """``[reference]``: the published row that an experiment reproduces, shown beside its own."""

    row: str = Field(min_length=1, description="The row, as its table names it.")
    source: str = Field(min_length=1, description="Where it was published.")
    bounds: dict[str, float] = Field(
        {}, description="Published nats per item by cell, such as 'image|label@single' = -126.0."
    )
