"""Optimizers: built from the configuration, saved without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mmvae.foundations.errors import CheckpointError, ConfigError
from mmvae.training.config import TrainConfig


def build_optimizer(parameters: Sequence[nn.Parameter], config: TrainConfig) -> Optimizer:
    """The configured optimizer, in its fused form if the device has one."""
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    common: dict[str, Any] = {
        "lr": config.learning_rate,
        "weight_decay": config.weight_decay,
        "fused": fused,
    }
    if config.optimizer == "sgd":
        return SGD(parameters, momentum=config.momentum, **common)
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[config.optimizer]
    return kind(parameters, betas=config.betas, eps=config.eps, **common)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as named tensors: ``"<parameter index>.<what>"``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{what}": torch.as_tensor(value)
        for index, values in state.items()
        for what, value in values.items()
        if value is not None
    }


def restore_optimizer(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], whole: bool = True
) -> None:
    """Restore the state from :func:`optimizer_tensors`; hyperparameters stay as configured.

    Args:
        optimizer: The optimizer, as configured.
        tensors: The state.
        whole: True if every parameter must have its state: the optimizer has done a step, with a
            gradient for each.

    Raises:
        ConfigError: The state belongs to another kind of optimizer.
        CheckpointError: The state belongs to another set of parameters, is incomplete, or has
            another type.
    """
    adam = any(name.endswith(".exp_avg") for name in tensors)
    if tensors and adam != isinstance(optimizer, Adam):
        raise ConfigError(
            f"train.optimizer = {type(optimizer).__name__.lower()!r}: this run's optimizer is "
            f"{'adam or adamw' if adam else 'sgd'}, and its state does not fit. Leave it out, or "
            f"train a new run with --init-from."
        )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, what = name.partition(".")
        if not (index.isdecimal() and what):
            raise CheckpointError(
                f"The checkpoint's optimizer state has {name!r}, expected NUMBER.WHAT: mmvae did "
                f"not write it."
            )
        state.setdefault(int(index), {})[what] = value
    for number, values in state.items():
        if number >= len(parameters) or any(
            value.dim() and value.shape != parameters[number].shape for value in values.values()
        ):
            raise CheckpointError(
                f"The checkpoint's optimizer state for parameter {number} does not fit this "
                f"model: was the configuration changed since it was written?"
            )
    for number, parameter in enumerate(parameters):
        if whole or number in state:
            _refuse_other_state(optimizer, number, parameter, state.get(number, {}))
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _refuse_other_state(
    optimizer: Optimizer, number: int, parameter: Tensor, values: Mapping[str, Tensor]
) -> None:
    """Refuse a parameter's state with other names, shapes or types than the optimizer's.

    Raises:
        CheckpointError: It differs; the first difference is named.
    """
    like = (tuple(parameter.shape), parameter.dtype)
    if isinstance(optimizer, Adam):
        expected = {"step": ((), torch.float32), "exp_avg": like, "exp_avg_sq": like}
        needed = True
    else:
        expected = {"momentum_buffer": like}
        needed = bool(optimizer.param_groups[0]["momentum"])
    for what in sorted(expected.keys() | values.keys()):
        name = f"{number}.{what}"
        if what not in expected:
            problem = f"has {name!r}, which this optimizer has not"
        elif what not in values:
            if not needed:
                continue
            problem = f"lacks {name!r}, which this optimizer needs"
        elif (got := (tuple(values[what].shape), values[what].dtype)) != expected[what]:
            problem = f"has {got[1]} {got[0]} as {name!r}, expected {expected[what][1]} "
            problem += f"{expected[what][0]}"
        else:
            continue
        raise CheckpointError(
            f"The checkpoint's optimizer state {problem}: it was changed, or train.optimizer or "
            f"train.momentum was. Leave these as they were, or resume --from another checkpoint."
        )
