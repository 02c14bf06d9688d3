"""The codec contract: everything that the core knows about a kind of modality.

A codec is a *recipe*: a plain object made from its validated config and, once fitted, from what it
learned from the training split. It builds networks but never owns trained weights, because the
joint posterior and each subset posterior may need trunks of their own. It sees flat batches only;
the core folds and unfolds sample dimensions.

Shapes: ``b`` items or samples, ``event`` the shape of one prepared item. A method's tensors are on
the device of its arguments; without tensor arguments they are on the CPU, and the core moves them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.modalities.column import Column
from mmvae.modalities.column_type import ColumnType
from mmvae.modalities.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    cellwise_log_prob,
    seeded_sample,
)

if TYPE_CHECKING:
    from mmvae.modalities.codec_examples import Examples

State = Mapping[str, Any]
"""The fitted state of a codec: names to numbers, strings, lists of those, or tensors."""

HAS_MISSING = "has gaps"
"""Key that the core adds to a codec's state if items of the training split lack the modality."""

READ_AS = "read as"
"""Key that the core adds to a codec's state: the type of its column, to read files alike."""


class CodecConfig(BaseModel):
    """The keys of ``[modalities.NAME]`` that every codec has; each codec adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = Field(
        None, description="Column of the source. Default: the name of the modality."
    )
    weight: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="λ_m, the weight of log p(x_m|z) in the loss."
    )


class Codec(ABC):
    """Recipe for one kind of modality.

    Args:
        config: The validated ``Config`` of this codec.
        state: The result of :meth:`fit`, or None before fitting.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``codec = "bernoulli-image"``."""

    Config: ClassVar[type[CodecConfig]] = CodecConfig
    """Pydantic model whose fields are the TOML keys of ``[modalities.NAME]``."""

    mixes_items: bool = False
    """True if its networks mix the items of a batch in train mode, as batch norm does.

    Set it on the class or, if a key decides it, on the object. Where mixing would change results
    (missing modalities, batches of one item, several processes) such a codec is refused.
    """

    def __init__(self, config: Any, state: State | None = None) -> None:
        self.config = config
        self.state: State = {} if state is None else state

    def check_state(self) -> None:  # noqa: B027  # most codecs need no check
        """Check a state that was read from a file; default: nothing.

        Called before a saved codec is used.

        Raises:
            ValueError: :meth:`fit` returns no such state, such as a deviation of 0.
        """

    @classmethod
    def undefined(cls) -> tuple[str, ...]:
        """The methods of the likelihood that neither the class nor its family defines."""
        if cls.likelihood_family is not Codec.likelihood_family:
            return ()
        return tuple(m for m in ("likelihood", "point") if getattr(cls, m) is getattr(Codec, m))

    @property
    def sometimes_missing(self) -> bool:
        """True if items of the training split lack this modality; set by the core when fitted."""
        return bool(self.state.get(HAS_MISSING, False))

    @property
    def column_type(self) -> ColumnType | None:
        """The type of its column as read in training; None for runs that did not record it."""
        state = self.state.get(READ_AS)
        return None if state is None else ColumnType(state[0], frozenset(state[1:]))

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

    def fit(self, column: Column) -> State:
        """Learn from the training split what must be known before networks are built.

        Called once per run, before anything else.

        Args:
            column: The training split's raw values, of the items that have the modality, perhaps
                unread and larger than memory: take the rows you need, then :meth:`Column.read`
                them (``column.take([0]).read().values``).

        Returns:
            Shape, scale, vocabulary, class names, …: saved with the run; the core then makes a new
            codec with it. Default: nothing.
        """
        return {}

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one prepared item, at least one dimension, known once fitted.

        Read when a model is built, and to check every batch.
        """

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """Width of the output of :meth:`encoder`; known once fitted, when a model is built."""

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

    @property
    def density(self) -> str | None:
        """The measure of the likelihood's density, if it needs stating; default: None.

        Evaluations print it beside their results: ``"pixels in [0, 1]"``. Results are comparable
        only for equal densities.
        """
        return None

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of each cell's scale s if model input is (x − m) / s; default: None.

        Shape (event…), on the CPU. :meth:`log_prob` refers to x in the user's units, so it
        includes −Σ log s over the observed cells; a codec that overrides it must include them.
        Evaluations also report the log-likelihood of the standardised values, which does not.
        """
        return None

    @abstractmethod
    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Convert raw values to model input.

        Called when data are read, for a whole split or for the items of a batch, and for values
        that a user passes to a trained model. A row's result must not depend on the other rows.
        Items that lack the modality are left out.

        Returns:
            The input, shape (b, event…), in a compact dtype (the core casts to float32 with
            :meth:`to_input` when a batch is drawn), and the mask of observed cells: bool of the
            same shape, or None if all are observed.

        Raises:
            UnsupportedValue: A value lies outside the support; it is named with its row.
        """

    def doubts(self, column: Column) -> Iterable[tuple[int, str]]:
        """Rows of raw values whose interpretation a person should check, each with the reason.

        Called by ``mmvae data check`` with values that :meth:`prepare` accepts, some hundred at a
        time: e.g. images that seem to have another scale, texts with invisible marks. Rows with
        the same reason are counted. Default: none.
        """
        return ()

    def to_input(self, x: Tensor) -> Tensor:
        """Convert prepared values (b, event…) as stored to float32 model input, same shape.

        Scale uint8 pixels to [0, 1] here. Default: a cast.
        """
        return x.to(torch.float32)

    def condition(self, raw: Column) -> Tensor:
        """Convert a user's condition to encoder input (b, event…), float32.

        Called to generate from given values, typed or in memory. Unlike :meth:`prepare` it accepts
        any finite real where that makes sense (an attribute of +2). Default: the same as prepared
        values.

        Raises:
            UnsupportedValue: The encoder cannot take a value.
        """
        return model_input(self, *self.prepare(raw))

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

    @property
    def likelihood_family(self) -> Likelihood | None:
        """The likelihood that the codec composes: links, density, point and sample.

        Default: None; such a codec defines :meth:`likelihood` and :meth:`point` itself.
        """
        return None

    def _family(self) -> Likelihood:
        family = self.likelihood_family
        if family is None:
            raise NotImplementedError(
                f"Codec {self.kind!r} defines neither likelihood_family nor likelihood and point."
            )
        return family

    def likelihood(self, parameters: Parameters) -> Distribution:
        """p(x_m|z): batch shape (b,), event shape ``event``; parameters are at least float32.

        Called at every step, after the decoder, so pass ``validate_args=False``. New tensors
        belong on the parameters' device. Default: that of :attr:`likelihood_family`.
        """
        return self._family().distribution(parameters)

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """Log-likelihood log p(x_m|z) in nats per item, float32 (b,), without unobserved cells.

        A density refers to values in the user's units, pixels of images in [0, 1]. Default: that
        of :attr:`likelihood_family`, less Σ log s over observed cells (:attr:`log_scale`); without
        a family, of the distribution as it is.

        Called for losses and bounds. Values of unobserved cells, even NaN, change neither the
        result nor a gradient. For an item that lacks the modality ``x`` is the fill value
        (:meth:`missing`), and the core ignores the result.

        Args:
            likelihood: The result of :meth:`likelihood` for b items.
            x: Model input, shape (b, event…).
            observed: Mask of observed cells, bool (b, event…), or None if all are observed.

        Raises:
            TypeError: Some cells are unobserved and the likelihood does not factorise over cells.
        """
        if observed is not None:
            x = torch.where(observed, x, self.missing(len(x)).to(x))
        family = self.likelihood_family
        try:
            if family is None:
                return cellwise_log_prob(likelihood, x, observed)
            nats = family.log_prob(likelihood, x, observed)
        except TypeError as error:
            raise TypeError(f"Codec {self.kind!r}: {error}") from error
        log_scale = self.log_scale
        if log_scale is None:
            return nats
        log_scale = log_scale.to(nats, non_blocking=True)
        if observed is None:
            return nats - log_scale.sum()
        return nats - (observed * log_scale).flatten(1).sum(1)

    def point(self, likelihood: Distribution) -> Tensor:
        """One best value, the mean or mode, float32 (b, event…).

        Called where one value represents p(x_m|z): generated and imputed values unless samples are
        requested, reconstructions, coherence and metrics. Default: that of
        :attr:`likelihood_family`.
        """
        return self._family().point(likelihood)

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """A draw of x_m, float32 (b, event…), determined by ``generator`` only.

        Called where samples of values are requested: ``generate --sample``, ``impute --by
        sample``. Default: that of :attr:`likelihood_family`, or ``likelihood.sample()``.
        """
        family = self.likelihood_family
        if family is None:
            return seeded_sample(likelihood, generator)
        return family.sample(likelihood, generator)

    def missing(self, b: int) -> Tensor:
        """Fill value for missing input, float32 (b, event…). Default: 0.

        Called for each batch with missing values, on the CPU. It replaces a whole missing modality
        and unobserved cells. :meth:`log_prob` must accept it; its result is ignored.
        """
        return torch.zeros(b, *self.event_shape)

    @abstractmethod
    def restore(self, x: Tensor) -> Column:
        """Convert model values, float32 (b, event…), to the user's units and names.

        Called for everything that is written or printed: generated values, imputed values. It
        inverts :meth:`prepare`. It also takes results of :meth:`point` and :meth:`sample`, which
        may lie between the values of the support, on any device.
        """

    @abstractmethod
    def parse(self, text: str) -> Column:
        """Convert a value typed as ``--given m=text`` to one row for :meth:`condition`.

        Raises:
            ValueError: The text is not a value; the message says what is accepted.
        """

    def show(self, x: Tensor) -> list[Any]:
        """Convert model values, float32 (b, event…), to one displayable object per item.

        Used for figures and for what ``generate`` prints. All PIL images or all strings. A string
        says the restored value, perhaps with fewer digits; or it is one that :meth:`parse` reads
        as this value. Default: the restored values as text.
        """
        return [str(value) for value in self.restore(x).values]

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

    def class_index(self, x: Tensor) -> Tensor:
        """Class of each item (b, event…) → int64 (b,); for modalities with :attr:`classes`.

        Called for coherence, classifiers and figures, with true values and with those of
        :meth:`point`, and only if there are classes.
        """
        raise NotImplementedError(f"Codec {self.kind!r} has no classes.")


def scale_nats(codec: Codec, observed: Tensor | None) -> Tensor | None:
    """Σ log s over observed cells: log-density of standardised values minus that of the user's.

    Args:
        codec: A fitted codec.
        observed: Mask of observed cells, bool (b, event…), or None if all are observed.

    Returns:
        Nats, float64 on the CPU, shape (b,), or () if all cells are observed; None if values
        are not standardised.
    """
    log_scale = codec.log_scale
    if log_scale is None:
        return None
    if observed is None:
        return log_scale.double().sum()
    return torch.where(observed.cpu(), log_scale.double(), 0.0).flatten(1).sum(1)


def model_input(codec: Codec, x: Tensor, observed: Tensor | None) -> Tensor:
    """Convert prepared values to float32 model input, with fill values in unobserved cells.

    Args:
        codec: The codec that prepared them.
        x: Values as they are stored, shape (b, event…).
        observed: Mask of observed cells, bool (b, event…), or None if all are observed.
    """
    given = codec.to_input(x)
    if observed is None:
        return given
    return torch.where(observed, given, codec.missing(1).to(given, non_blocking=True))
