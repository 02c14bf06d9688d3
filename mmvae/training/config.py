"""``[train]``: the settings of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmvae.foundations.section import Section
from mmvae.foundations.toml import literal

FIXED_KEYS = ("batch_size", "drop_last", "seed", "freeze")
"""Keys of ``[train]`` that a resumed run must keep: the order of items or the model needs them."""

Rate = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Section):
    """``[train]``: the settings of training."""

    epochs: int = Field(100, ge=1, description="Passes over the training split.")
    batch_size: int = Field(
        100, ge=1, description="Items per step, over all processes and accumulation steps."
    )
    accumulation: int = Field(
        1, ge=1, description="Parts in which a process computes the gradient of its batch."
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Seed of the initial weights, the order of items and every draw.",
    )
    freeze: list[str] = Field(
        [],
        description="Weights that are not trained, by the beginning of their names, "
        "such as 'decoders' or 'encoders.joint_posterior'; useful with "
        "--init-from.",
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
        None, gt=0, description="Clip the gradient to this total norm; applied before clip_value."
    )
    clip_value: float | None = Field(
        None, gt=0, description="Clip each element of the gradient to ± this."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="The decay of the learning rate to final_learning_rate."
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
        description="Epochs over which the warm-up weight β rises linearly from 0 to 1.",
    )
    warmup_steps: int | None = Field(
        None,
        ge=1,
        description="Steps over which β rises linearly to 1, in place of warmup_epochs, "
        "for trainings of few, long epochs; β of the first step is 1 / "
        "warmup_steps.",
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the exponential moving average of the weights, which is validated "
        "and used in place of the weights. The decay grows from 0 to this value over the first "
        "steps.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision of the networks; likelihoods and KL are float32."
    )
    compile: bool = Field(False, description="Compile the networks with torch.compile.")
    device: Literal["auto", "cpu"] = Field(
        "auto", description="Device: the accelerator if there is one, or the CPU."
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU threads per process; torch's default unless given.",
    )
    drop_last: bool = Field(
        False, description="Leave out the last batch of an epoch if it is not full."
    )
    validate_every: int = Field(1, ge=1, description="Epochs between validations.")
    monitor: Literal["objective", "elbo"] = Field(
        "objective",
        description="Validation statistic that chooses the best checkpoint, once a fitted prior "
        "or an adversary has begun to train.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Number of validations without a new best after which training "
        "stops; counted once β is 1, the learning rate has risen, and every "
        "phase has begun.",
    )
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="Steps between checkpoints; by checkpoint_minutes alone unless given.",
    )
    checkpoint_minutes: float = Field(
        5.0, gt=0, description="Longest time between checkpoints, in minutes."
    )
    keep_checkpoints: int = Field(
        2,
        ge=1,
        description="Number of latest checkpoints to keep; each also holds the best "
        "weights so far.",
    )
    log_every: int = Field(50, ge=1, description="Steps between lines of metrics.jsonl.")
    trackers: list[Literal["tensorboard"]] = Field(
        [], description="Trackers that get the metrics besides metrics.jsonl."
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
