"""The encoders of a JMVAE, as ``[model]`` describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from mmvae.foundations.errors import ConfigError, listed, nearest
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.families import Shapes
from mmvae.models.heads import HeadBuilder, MaskedHead, SubsetHeads
from mmvae.models.jmvae_config import JMVAEConfig
from mmvae.models.posterior_network import PosteriorNetwork
from mmvae.models.separate_encoders import SeparateEncoders
from mmvae.models.shared_encoders import SharedEncoders

MOST_HEADS = 64
"""Up to this many subsets get heads of their own by default."""

Encoders = SeparateEncoders | SharedEncoders


def build_encoders(
    config: JMVAEConfig,
    codecs: Mapping[str, Codec],
    subsets: Sequence[Subset],
    shaped: Sequence[bool],
    head: HeadBuilder | None,
    missing: bool,
) -> Encoders:
    """The joint posterior q(z|x_M) and the subset posteriors q(z|x_S).

    Args:
        config: ``[model]``; ``trunks`` and ``heads`` say which networks the subsets share.
        codecs: Modality → codec.
        subsets: The subsets with a posterior of their own.
        shaped: Which of them are of the family of ``[posterior]``.
        head: Builds the head of that family.
        missing: True if items may lack modalities.

    Raises:
        ConfigError: A key has no effect with others, or names no trained subset.
    """

    def network(
        trunks: Mapping[str, nn.Module], widths: Mapping[str, int], missing: bool, own: bool
    ) -> PosteriorNetwork:
        return PosteriorNetwork(
            trunks,
            widths,
            config.latent_dim,
            config.fusion,
            config.fusion_dim,
            config.activation,
            config.variance,
            missing,
            head if own else None,
        )

    if _separate(config, subsets):
        if config.heads != "auto" and subsets:
            raise ConfigError(
                f"model.heads = {config.heads!r} has no effect with model.trunks = 'separate', "
                f"where each subset has a whole network of its own. Leave it out, or set "
                f"model.trunks = 'shared' or 'joint-apart'."
            )
        return SeparateEncoders(codecs, subsets, shaped, network, missing)
    masked = config.heads == "masked" or (config.heads == "auto" and len(subsets) > MOST_HEADS)

    def heads(
        members: Sequence[Subset], modalities: Subset, feature_dim: int, own: bool
    ) -> SubsetHeads | MaskedHead:
        sizes = (members, modalities, feature_dim, config.latent_dim)
        act, variance = config.activation, config.variance
        if own or masked:
            family = head if own else None
            return MaskedHead(*sizes, config.fusion_dim, act, variance, family)
        return SubsetHeads(*sizes, config.head_dim, act, variance)

    apart = config.trunks == "joint-apart" and bool(subsets)
    return SharedEncoders(
        codecs, subsets, shaped, network, config.feature_dim, heads, missing, apart
    )


def _separate(config: JMVAEConfig, subsets: Sequence[Subset]) -> bool:
    """True if each posterior has trunks of its own, as in the paper."""
    many = config.heads != "auto" or any(len(s) > 1 for s in subsets)
    return config.trunks == "separate" or (config.trunks == "auto" and not many)


def shaped_subsets(subsets: Sequence[Subset], shapes: Shapes) -> list[bool]:
    """For each subset, True if its posterior is of the family of ``[posterior]``.

    Raises:
        ConfigError: There are none, or an entry of ``posterior.subsets`` is none of them.
    """
    wanted = shapes.posterior_keys.subsets
    if shapes.posterior is None:
        return [False] * len(subsets)
    if not subsets:
        raise ConfigError(
            "[posterior] has no effect: this model trains no subset posteriors. Leave it out, "
            "or train with model.alpha > 0 and model.missing = 'encoders'."
        )
    names = {subset_name(s): s for s in subsets}
    for name in wanted or ():
        if name not in names:
            raise ConfigError(
                f"posterior.subsets entry {name!r}: expected one of the subsets that the "
                f"model trains: {listed(names)}.{nearest(name, names)}"
            )
    own = set(names if wanted is None else wanted)
    return [name in own for name in names]
