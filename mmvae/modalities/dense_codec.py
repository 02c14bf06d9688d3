"""Dense codecs: one number for each name, and dense layers in encoder and decoder."""

from __future__ import annotations

from abc import abstractmethod

from torch import nn

from mmvae.foundations.errors import short
from mmvae.foundations.networks import mlp
from mmvae.modalities.codec import Codec
from mmvae.modalities.names import are_names


class DenseCodec(Codec):
    """A codec of one number for each name, with dense layers.

    Its ``Config`` has the keys ``encoder``, ``decoder`` and ``activation``, of the types
    ``mmvae.EncoderWidths``, ``mmvae.DecoderWidths`` and ``mmvae.DenseActivation``. Its likelihood
    needs one parameter for each name; otherwise override :meth:`decoder`.
    """

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the numbers in their order, known once fitted."""

    def check_state(self) -> None:
        """Require names that are texts, each once.

        Raises:
            ValueError: They are others.
        """
        if not are_names(self.names):
            raise ValueError(f"its names are {short(self.names)}, expected texts, each once")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(names,)."""
        return (len(self.names),)

    @property
    def feature_dim(self) -> int:
        """Width of the encoder's last layer."""
        return int((len(self.names), *self.config.encoder)[-1])

    def encoder(self) -> nn.Module:
        """Dense layers."""
        return mlp(len(self.names), self.config.encoder, self.config.activation)

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, then a linear layer to one number for each name."""
        return mlp(input_dim, self.config.decoder, self.config.activation, len(self.names))
