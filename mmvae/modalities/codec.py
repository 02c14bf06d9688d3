"""The codec contract: everything that the core knows about a kind of modality.

A codec is a *recipe*: a plain object made from its validated config and, once fitted, from what it
learned from the training split. It builds networks but never owns trained weights, because the
joint posterior and each subset posterior may need trunks of their own. It sees flat batches only;
the core folds and unfolds sample dimensions.

Shapes: ``b`` items or samples, ``event`` the shape of one prepared item. A method's tensors are on
the device of its arguments; without tensor arguments they are on the CPU, and the core moves them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmvae.modalities.conversion import Conversion
from mmvae.modalities.density import Density

if TYPE_CHECKING:
    from mmvae.modalities.codec_examples import Examples


class Codec(Conversion, Density):
    """Recipe for one kind of modality.

    Its bases are ``Recipe`` (config and state), ``Conversion`` (raw values to tensors and back)
    and ``Density`` (the likelihood). Networks, views and classes are defined here.

    Args:
        config: The validated ``Config`` of this codec.
        state: The result of :meth:`fit`, or None before fitting.
    """

    mixes_items: bool = False
    """True if its networks mix the items of a batch in train mode, as batch norm does.

    Set it on the class or, if a key decides it, on the object. Where mixing would change results
    (missing modalities, batches of one item, several processes) such a codec is refused.
    """

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples | None:
        """Values for testing this kind of codec; default: None, no examples.

        Called by ``mmvae plugins check`` and by :class:`mmvae.testing.CodecContract`, never in
        training.

        Args:
            keys: Keys of ``[modalities.NAME]`` from the user (``plugins check KIND -s dim=5``),
                not validated yet; values, support and grid must suit them. A codec whose examples
                suit all keys may omit the argument.
        """
        return None

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """Width of the output of :meth:`encoder`; known once fitted, when a model is built."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Build a new trunk: (b, event…) float32 → features (b, feature_dim).

        Called when a model is built, once for each posterior that has trunks of its own; the
        codec keeps no reference to it. Under autocast features may be of 16 bits.
        """

    @abstractmethod
    def decoder(self, input_dim: int) -> nn.Module:
        """Build a new decoder: (b, input_dim) → :data:`Parameters` of the likelihood.

        Called when a model is built. Its input is a latent z, in some models with features of
        the given modalities; ``b`` counts items times samples.
        """

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A fresh training view of float32 model input (b, event…), same shape.

        Called for each training batch. It must take randomness from ``generator`` only, and the
        same amount for any values. Default: ``x`` itself.
        """
        return x

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The view of model input for validation and test statistics; default: ``x`` itself.

        ``x`` is float32 (b, event…), and so is the view; the generator is the same for the same
        items, whatever is computed. A codec whose likelihood needs binary pixels binarises here,
        once, from ``generator``. It is applied to values of :meth:`point` too, when classifiers
        and metrics compare generated values with real ones: both are then of the same kind.
        """
        return x

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes if the modality is one label per item, else None.

        Modalities with classes are used to measure coherence: a classifier trained on real items
        predicts whether a value generated from a label shows it.
        """
        return None

    @property
    def attributes(self) -> tuple[str, ...] | None:
        """Names of the cells if the sign of each says whether an item has an attribute, else None.

        The event shape is then (attributes,), and a value < 0 means that the item lacks it.
        """
        return None

    def class_index(self, x: Tensor) -> Tensor:
        """Class of each item (b, event…) → int64 (b,); for modalities with :attr:`classes`.

        Called for coherence, classifiers and figures, with true values and with those of
        :meth:`point`, and only if there are classes.
        """
        raise NotImplementedError(f"Codec {self.kind!r} has no classes.")

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Compare predictions with the true values, per item; called by ``evaluate``.

        Args:
            prediction: Values as :meth:`point` returns them, shape (b, event…).
            x: The true values, same shape.

        Returns:
            Named statistics of shape (b,), such as ``{"accuracy": …}``; each has its minimum or
            its maximum if predictions are right, or is a signed error. Default: none.
        """
        return {}
