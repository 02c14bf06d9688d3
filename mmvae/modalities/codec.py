"""The codec contract: all that the core knows of one kind of modality.

A codec is a *recipe*: a plain object made from its validated config and, once fitted, from what it
learned of the training split. It builds networks and never owns trained weights, because the joint
posterior and each subset posterior may want trunks of their own. It sees flat batches only; the
core folds and unfolds sample dimensions.

Shapes: ``b`` items or samples, ``event`` the shape of one prepared item. Tensors lie on the device
of those that a method is given; where it is given none, on the CPU, and the core moves them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from mmvae.foundations.randomness import seeded_global
from mmvae.modalities.column_type import ColumnType

if TYPE_CHECKING:
    from mmvae.modalities.codec_examples import Examples

State = Mapping[str, Any]
"""What a codec learned: names to numbers, strings, lists of those, or tensors."""

GAPS = "has gaps"
"""What the core adds to a codec's state where items of the training split lack the modality."""

READ_AS = "read as"
"""What the core adds to a codec's state: the type of its column, so that files are read alike."""

Parameters = Tensor | dict[str, Tensor]
"""What a decoder returns: one tensor or several by name, batch dimension first."""


class LazyValues(ABC):
    """Values that are read when they are needed, so that a column may be larger than memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> LazyValues:
        """These rows in this order, still unread."""

    @abstractmethod
    def read(self) -> Any:
        """All values, as an array or a list."""


def row_index(rows: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Row numbers as an array that indexes, also where there are none."""
    index = np.asarray(rows)
    return index if len(index) else index.astype(np.int64)


@dataclass(frozen=True)
class Column:
    """One modality's raw values, as a source gives them.

    Attributes:
        values: A numpy array, a list, or a :class:`LazyValues`; length n. Codecs get arrays and
            lists, save in :meth:`Codec.fit`, which may get values unread.
        names: Class or attribute names that the source knows, in the order of the values' codes.
        origin: Where the values come from, for error messages: a file, a column of a table.
        present: Which items have the modality, bool (n,), or None if all have. Values of the
            others may be anything: no codec sees them.
        type: How the cells of a table were read, if the values come from one.
    """

    values: Any
    names: tuple[str, ...] | None = None
    origin: str = ""
    present: np.ndarray[Any, Any] | None = None
    type: ColumnType | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Column:
        """The column of these rows, in this order."""
        index = row_index(rows)
        present = None if self.present is None else self.present[index]
        if isinstance(self.values, LazyValues):
            return replace(self, values=self.values.take(rows), present=present)
        if isinstance(self.values, (list, tuple)):
            return replace(self, values=[self.values[int(i)] for i in rows], present=present)
        return replace(self, values=self.values[index], present=present)

    @property
    def gaps(self) -> int:
        """How many items lack the modality."""
        return 0 if self.present is None else int(len(self) - np.count_nonzero(self.present))

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """The items that have the modality, ascending."""
        return np.arange(len(self)) if self.present is None else np.flatnonzero(self.present)

    def without_gaps(self) -> Column:
        """The column of the items that have the modality; itself if all have."""
        return self if self.present is None else replace(self.take(self.rows), present=None)

    def read(self) -> Column:
        """The same column with its values in memory."""
        if isinstance(self.values, LazyValues):
            return replace(self, values=self.values.read())
        return self


class CodecConfig(BaseModel):
    """The keys of ``[modalities.NAME]`` that every codec has; each codec adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = Field(
        None, description="Column of the source; the modality's own name unless given."
    )
    weight: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="λ_m, the weight of log p(x_m|z) in the loss."
    )


class Codec(ABC):
    """Recipe for one kind of modality.

    Args:
        config: The validated ``Config`` of this codec.
        state: What :meth:`fit` returned, or None before fitting.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``codec = "bernoulli-image"``."""

    Config: ClassVar[type[CodecConfig]] = CodecConfig
    """Pydantic model whose fields are the TOML keys of ``[modalities.NAME]``."""

    mixes_items: bool = False
    """Whether its networks mix the items of a batch in train mode, as batch norm does.

    Set it on the class or, if a key decides it, on the object. Where mixing would change results
    (gaps, batches of one item, several processes) such a codec is refused.
    """

    def __init__(self, config: Any, state: State | None = None) -> None:
        self.config = config
        self.state: State = {} if state is None else state

    @property
    def gaps(self) -> bool:
        """Whether items of the training split lack this modality; the core knows once fitted."""
        return bool(self.state.get(GAPS, False))

    @property
    def column_type(self) -> ColumnType | None:
        """How its column was read in the training; None of a run that did not note it."""
        state = self.state.get(READ_AS)
        return None if state is None else ColumnType(state[0], frozenset(state[1:]))

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples | None:
        """Values to try this kind of codec with; default: None, it brings none.

        Called by ``mmvae plugins check`` and by :class:`mmvae.testing.CodecContract`, never in
        training.

        Args:
            keys: Keys of ``[modalities.NAME]`` that someone gave (``plugins check KIND -s
                dim=5``), not validated yet; values, support and grid have to suit them. A codec
                whose examples suit all keys may leave the argument out.
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
        """Width of what :meth:`encoder` puts out, known once fitted, as a model is built."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes if the modality is one label per item, else None.

        Modalities with classes serve as judges: a classifier trained on real items measures
        whether what is generated from a label shows it.
        """
        return None

    @property
    def attributes(self) -> tuple[str, ...] | None:
        """Names of the cells if each says by its sign whether an item has an attribute, else None.

        The event shape is then (attributes,), and a value < 0 means: it has not.
        """
        return None

    @property
    def density(self) -> str | None:
        """Values that the likelihood is a density of, if that needs saying; default: None.

        Evaluations print it beside their figures: ``"pixels in [0, 1]"``. Figures compare only
        between equal densities.
        """
        return None

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of each cell's scale s where model input is (x − m) / s; default: None.

        Shape (event…), on the CPU. :meth:`log_prob` is of x in the user's units, so it holds
        −Σ log s of the observed cells. Evaluations show the log-likelihood of the standardised
        values beside it, which does not.
        """
        return None

    @abstractmethod
    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Turn raw values into model input.

        Called when data are read, for a whole split or for the items of a batch, and for values
        that a user gives to a trained model; a row's values must not depend on the other rows.
        Items that lack the modality are left out.

        Returns:
            The input, shape (b, event…), in a compact dtype (the core casts to float32 with
            :meth:`to_input` when a batch is drawn), and which cells are observed: bool of the same
            shape, or None if all are.

        Raises:
            UnsupportedValue: A value lies outside the support; it is named with its row.
        """

    def doubts(self, column: Column) -> Iterable[tuple[int, str]]:
        """Rows of raw values of which a person should know how they are read, each with what.

        Called by ``mmvae data check`` with values that :meth:`prepare` takes, some hundred at a
        time: of pictures that seem to have another scale, of texts with marks that nobody sees.
        Rows of which the same is said are counted. Default: none.
        """
        return ()

    def to_input(self, x: Tensor) -> Tensor:
        """Prepared values (b, event…) as they are stored → float32 model input, same shape.

        The place to scale uint8 pixels to [0, 1]. Default: a cast.
        """
        return x.to(torch.float32)

    def condition(self, raw: Column) -> Tensor:
        """A user's condition → encoder input (b, event…), float32.

        Called when something is generated from given values, typed or in memory. Unlike
        :meth:`prepare` it accepts any finite real where that makes sense (an attribute of +2).
        Default: the same as prepared values.

        Raises:
            UnsupportedValue: A value is none that the encoder could take.
        """
        return model_input(self, *self.prepare(raw))

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A fresh training view of float32 model input (b, event…), same shape.

        Called for each training batch. It must take randomness from ``generator`` alone, the same
        amount whatever the values. Default: ``x`` itself.
        """
        return x

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The view of model input that validation and test figures use; default: ``x`` itself.

        ``x`` is float32 (b, event…), and so is the view; the generator is the same for the same
        items, whatever is computed. A codec whose likelihood wants binary pixels binarises here,
        once, from ``generator``. It is applied to values of :meth:`point` too, where classifiers
        and metrics compare generated values with real ones: both then are of one kind.
        """
        return x

    @abstractmethod
    def encoder(self) -> nn.Module:
        """A fresh trunk: (b, event…) float32 → features (b, feature_dim).

        Called when a model is built, once for each posterior that has trunks of its own; the
        codec keeps no hold of it. Under autocast features may be of 16 bits.
        """

    @abstractmethod
    def decoder(self, input_dim: int) -> nn.Module:
        """A fresh decoder: (b, input_dim) → :data:`Parameters` of the likelihood.

        Called when a model is built. Its input is a latent z, in some models with features of
        what is given; ``b`` counts items times samples.
        """

    @abstractmethod
    def likelihood(self, parameters: Parameters) -> Distribution:
        """p(x_m|z): batch shape (b,), event shape ``event``; parameters come in float32 at least.

        Called at every step, after the decoder, so pass ``validate_args=False``. New tensors
        belong on the parameters' device.
        """

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """Log-likelihood log p(x_m|z) in nats per item, float32 (b,), unobserved cells left out.

        A density is that of the values in the user's units, pixels of pictures in [0, 1]:
        :attr:`log_scale` says what standardised values add.

        Called for losses and bounds. Values of unobserved cells, NaN among them, change neither
        the result nor a gradient. Of an item that lacks the modality ``x`` is the stand-in
        (:meth:`missing`), and the core drops what comes out.

        Args:
            likelihood: What :meth:`likelihood` returned for b items.
            x: Model input, shape (b, event…).
            observed: Which cells are observed, bool (b, event…), or None if all are.

        Raises:
            TypeError: Some cells are unobserved and the likelihood does not factorise over cells.
        """
        if observed is None:
            return likelihood.log_prob(x)
        if not isinstance(likelihood, Independent) or likelihood.base_dist.event_shape:
            raise TypeError(
                f"Codec {self.kind!r}: its likelihood {type(likelihood).__name__} does not "
                f"factorise over cells, so log_prob must handle unobserved cells itself."
            )
        cells = likelihood.base_dist.log_prob(torch.where(observed, x, self.missing(len(x)).to(x)))
        return torch.where(observed, cells, 0.0).flatten(1).sum(1)

    @abstractmethod
    def point(self, likelihood: Distribution) -> Tensor:
        """One best value, the mean or mode, float32 (b, event…).

        Called where one value stands for p(x_m|z): what is generated or filled in unless samples
        are asked for, reconstructions, coherence and metrics.
        """

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """A draw of x_m, float32 (b, event…), governed by ``generator`` alone.

        Called where samples of values are asked for: ``generate --sample``, ``impute --by
        sample``. Default: ``likelihood.sample()``.
        """
        device = generator.device
        with seeded_global(int(torch.randint(2**62, (), generator=generator, device=device))):
            return likelihood.sample()

    def missing(self, b: int) -> Tensor:
        """Stand-in input for what is absent, float32 (b, event…). Default: 0.

        Called for each batch with gaps, on the CPU. It takes the place of a whole modality that an
        item lacks and of cells that are not observed. :meth:`log_prob` must take it, whatever it
        answers.
        """
        return torch.zeros(b, *self.event_shape)

    @abstractmethod
    def restore(self, x: Tensor) -> Column:
        """Model values, float32 (b, event…) → the user's units and names.

        Called for everything that is written or printed: generated values, filled gaps. Undoes
        :meth:`prepare`; also takes what :meth:`point` and :meth:`sample` give, which may lie
        between the values of the support, on any device.
        """

    @abstractmethod
    def parse(self, text: str) -> Column:
        """A value typed on the command line (``--given m=text``) → one row for :meth:`condition`.

        Raises:
            ValueError: The text is no value; the message says what is accepted.
        """

    def show(self, x: Tensor) -> list[Any]:
        """Model values, float32 (b, event…) → one thing to look at per item, for figures.

        All PIL images or all strings. Default: the restored values as text.
        """
        return [str(value) for value in self.restore(x).values]

    def compare(self, guess: Tensor, x: Tensor) -> dict[str, Tensor]:
        """How well guesses match the truth, per item; called by ``evaluate``.

        Args:
            guess: Values as :meth:`point` returns them, shape (b, event…).
            x: The true values, same shape.

        Returns:
            Named figures of shape (b,), such as ``{"accuracy": …}``. Default: none.
        """
        return {}

    def class_index(self, x: Tensor) -> Tensor:
        """Class of each item (b, event…) → int64 (b,); for modalities with :attr:`classes`.

        Called by coherence, classifiers and figures, with true values and with those of
        :meth:`point`, and only where there are classes.
        """
        raise NotImplementedError(f"Codec {self.kind!r} has no classes.")


def scale_nats(codec: Codec, observed: Tensor | None) -> Tensor | None:
    """Σ log s over observed cells, by which standardised values have more nats than the user's.

    Args:
        codec: A fitted codec.
        observed: Which cells are observed, bool (b, event…), or None if all are.

    Returns:
        Nats, float64 on the CPU, shape (b,), or () if all cells are observed; None where values
        are not standardised.
    """
    log_scale = codec.log_scale
    if log_scale is None:
        return None
    if observed is None:
        return log_scale.double().sum()
    return torch.where(observed.cpu(), log_scale.double(), 0.0).flatten(1).sum(1)


def model_input(codec: Codec, x: Tensor, observed: Tensor | None) -> Tensor:
    """Prepared values → float32 model input; cells not observed hold the codec's stand-in.

    Args:
        codec: The codec that prepared them.
        x: Values as they are stored, shape (b, event…).
        observed: Which cells are observed, bool (b, event…), or None if all are.
    """
    given = codec.to_input(x)
    if observed is None:
        return given
    return torch.where(observed, given, codec.missing(1).to(given, non_blocking=True))
