"""Finite values: check every value that leaves a model for a user; otherwise raise, write nothing.

A NaN must be caught before it reaches a codec: an image codec turns it into some grey level, a
label codec into some class. So latents, decoder output and drawn values are each checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.foundations.errors import TrainingError
from mmvae.models.base import Model
from mmvae.models.parameters import in_float32

LATENT = "the latent z"


@torch.no_grad()
def finite_values(
    model: Model,
    modality: str,
    z: Tensor,
    given: Mapping[str, Tensor] | None = None,
    how: Callable[[Distribution], Tensor] | None = None,
    first: int = 0,
) -> Tensor:
    """Finite values of p(x_m|z), as users see them.

    Args:
        model: The model.
        modality: m.
        z: Latents, flat, (n, d).
        given: Condition → its model input (n, event…), for conditional models.
        how: Maps the likelihood to values (n, event…); default: the codec's best value.
        first: Number of the first of the n values, for messages.

    Raises:
        TrainingError: A latent, an output of the decoder or a value is not finite; the message
            names the modality, the item, the number of such values and the cause.
    """
    likelihood = finite_likelihood(model, modality, z, given, first)
    values = (how or model.codecs[modality].point)(likelihood)
    require_finite(model, modality, "the value", values, first)
    return values


def finite_likelihood(
    model: Model,
    modality: str,
    z: Tensor,
    given: Mapping[str, Tensor] | None = None,
    first: int = 0,
) -> Distribution:
    """p(x_m|z) at finite latents, without NaN in its parameters; see :func:`finite_values`."""
    require_finite(model, modality, LATENT, z, first)
    parameters = in_float32(model.parameters_of(modality, z, given or {}))
    named = {"": parameters} if isinstance(parameters, Tensor) else parameters
    for name, values in named.items():
        what = f"the decoder's {name or 'output'}"
        # An infinite parameter may be intended: the logit of an impossible value.
        require_finite(model, modality, what, values.nan_to_num(torch.nan, 0, 0), first)
    return model.codecs[modality].likelihood(parameters)


def require_finite(model: Model, name: str, what: str, values: Tensor, first: int = 0) -> None:
    """Check that values (n, …) of items from ``first`` on are finite.

    Args:
        model: The model that they come from.
        name: The modality or modalities.
        what: A description of the values, for messages.
        values: The values, (n, …).
        first: Number of the first item.

    Raises:
        TrainingError: A value is not finite.
    """
    if values.isfinite().all():
        return
    wrong = ~values.flatten(1).isfinite() if values.dim() > 1 else ~values[:, None].isfinite()
    rows = wrong.any(1).nonzero().flatten()
    row = int(rows[0])
    found = values.reshape(len(values), -1)[row][wrong[row]][0]
    raise TrainingError(
        f"{name}: {what} of item {first + row} is {float(found)}, expected finite numbers; so it "
        f"is for {len(rows)} of {len(values)} items. {_cause(model, what)} Nothing is written."
    )


def _cause(model: Model, what: str) -> str:
    for name, weights in model.named_parameters():
        if not weights.isfinite().all():
            return (
                f"The weights {name} of the model are not finite: train again with a lower "
                f"train.learning_rate."
            )
    if what == LATENT:
        return (
            "The weights are finite, so the posterior's mean or variance overflows: look for "
            "extreme values of these items with `mmvae data check`, or lower the temperature."
        )
    return (
        "The weights are finite, so the networks overflow: look for extreme values of these items "
        "with `mmvae data check`, or lower the temperature."
    )
