"""The conformance suites, which a plugin's tests inherit and ``mmvae plugins check`` runs.

A codec with :meth:`mmvae.Codec.examples` needs only its class:

.. code-block:: python

    class TestMyCodec(CodecContract):
        codec = MyCodec

Otherwise define how to make one, and values for it:

.. code-block:: python

    class TestMyCodec(CodecContract):
        def make_codec(self):
            return MyCodec(MyCodec.Config())

        def make_column(self, n, seed):
            return Column(np.random.default_rng(seed).normal(size=(n, 3)))

Codecs of pictures, numbers or texts mix in :class:`PictureReading`, :class:`NumberReading` or
:class:`TextReading`, which test the same value in every form.

Each check states the requirement of the contract and the result. :func:`verdicts` runs the same
checks without pytest.
"""

from mmvae.testing.codec import CodecContract
from mmvae.testing.command import CommandContract
from mmvae.testing.contract import Contract, ContractBroken, Verdict, verdicts, violations
from mmvae.testing.extension import ExtensionContract
from mmvae.testing.family import FamilyContract
from mmvae.testing.likelihood import LikelihoodContract
from mmvae.testing.maker import MakerContract
from mmvae.testing.metric import MetricContract
from mmvae.testing.model import ModelContract
from mmvae.testing.observer import ObserverContract
from mmvae.testing.reading import NumberReading, PictureReading, TextReading
from mmvae.testing.source import SourceContract

__all__ = [
    "CodecContract",
    "CommandContract",
    "Contract",
    "ContractBroken",
    "ExtensionContract",
    "FamilyContract",
    "LikelihoodContract",
    "MakerContract",
    "MetricContract",
    "ModelContract",
    "NumberReading",
    "ObserverContract",
    "PictureReading",
    "SourceContract",
    "TextReading",
    "Verdict",
    "verdicts",
    "violations",
]
