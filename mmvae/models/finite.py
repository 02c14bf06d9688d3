"""Values that leave a model for a user are finite, or there is an error and nothing is written.

A NaN must be caught before it reaches a codec: pictures turn it into some grey level, labels into
some class. So latents, the decoder's output and the values drawn from it are each looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.foundations.errors import TrainingError
from mmvae.models.base import Model, in_float32

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
    """Values of p(x_m|z), for users to see.

    Args:
        model: The model.
        modality: m.
        z: Latents, flat, (n, d).
        given: Condition → its model input (n, event…), for conditional models.
        how: From the likelihood to values (n, event…); the codec's best value unless given.
        first: Number of the first of the n values, for messages.

    Raises:
        TrainingError: A latent, an output of the decoder or a value is not finite; the modality,
            the item, how many there are and the cause are named.
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
    """p(x_m|z) at finite latents, of which no parameter is NaN; see :func:`finite_values`."""
    require_finite(model, modality, LATENT, z, first)
    parameters = in_float32(model.parameters_of(modality, z, given or {}))
    named = {"": parameters} if isinstance(parameters, Tensor) else parameters
    for name, values in named.items():
        what = f"the decoder's {name or 'output'}"
        # An infinite parameter may be meant: a logit of what is impossible.
        require_finite(model, modality, what, values.nan_to_num(torch.nan, 0, 0), first)
    return model.codecs[modality].likelihood(parameters)


def require_finite(model: Model, name: str, what: str, values: Tensor, first: int = 0) -> None:
    """See that values (n, …) of items from ``first`` on are finite.

    Args:
        model: The model that they come from.
        name: The modality or modalities.
        what: What the values are.
        values: The values, (n, …).
        first: Number of the first item.

    Raises:
        TrainingError: Some are not.
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
