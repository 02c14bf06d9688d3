"""mmvae: plugin-based multimodal variational autoencoders for any number of modalities.

The public names are loaded when they are first used, so that ``import mmvae`` and
``mmvae --help`` are quick and import neither torch nor any plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Codec": "mmvae.codec",
    "CodecConfig": "mmvae.codec",
    "Column": "mmvae.codec",
    "Examples": "mmvae.examples",
    "LazyValues": "mmvae.codec",
    "Parameters": "mmvae.codec",
    "State": "mmvae.codec",
    "Maker": "mmvae.maker",
    "MakerConfig": "mmvae.maker",
    "Source": "mmvae.source",
    "SourceConfig": "mmvae.source",
    "Split": "mmvae.source",
    "SplitName": "mmvae.source",
    "UnsupportedValue": "mmvae.errors",
    "MmvaeError": "mmvae.errors",
    "ConfigError": "mmvae.errors",
    "DataError": "mmvae.errors",
    "UsageError": "mmvae.errors",
    "nearest": "mmvae.errors",
    "hookimpl": "mmvae.hookspecs",
    "mlp": "mmvae.networks",
    "activation": "mmvae.networks",
    "bounded": "mmvae.networks",
    "Activation": "mmvae.networks",
    "Family": "mmvae.family",
    "FamilyConfig": "mmvae.family",
    "Posterior": "mmvae.posteriors",
    "DiagonalGaussian": "mmvae.posteriors",
    "register_kl": "mmvae.posteriors",
    "kl_divergence": "mmvae.posteriors",
    "Model": "mmvae.models.protocol",
    "ModelConfig": "mmvae.models.protocol",
    "Phase": "mmvae.models.protocol",
    "Terms": "mmvae.models.protocol",
    "Trainable": "mmvae.models.protocol",
    "ByModality": "mmvae.models.protocol",
    "Extension": "mmvae.models.extension",
    "ExtensionConfig": "mmvae.models.extension",
    "Metric": "mmvae.evaluation.metric",
    "MetricConfig": "mmvae.evaluation.metric",
    "Specimen": "mmvae.evaluation.metric",
    "Observer": "mmvae.training.observer",
    "ObserverConfig": "mmvae.training.observer",
    "Watched": "mmvae.training.observer",
    "PosteriorNetwork": "mmvae.models.encoders",
    "Fusion": "mmvae.models.encoders",
    "Variance": "mmvae.models.heads",
    "Batch": "mmvae.data.batches",
    "StepDraws": "mmvae.randomness",
    "written_number": "mmvae.data.written",
    "finite_values": "mmvae.models.finite",
    "require_finite": "mmvae.models.finite",
    "Picture": "mmvae.report.canvas",
    "Subject": "mmvae.report.subject",
    "train": "mmvae.api",
    "resume": "mmvae.api",
    "load": "mmvae.api",
    "evaluate": "mmvae.results",
    "compare": "mmvae.comparison.compare",
    "TrainedModel": "mmvae.trained",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from mmvae.api import load as load
    from mmvae.api import resume as resume
    from mmvae.api import train as train
    from mmvae.codec import Codec as Codec
    from mmvae.codec import CodecConfig as CodecConfig
    from mmvae.codec import Column as Column
    from mmvae.codec import LazyValues as LazyValues
    from mmvae.codec import Parameters as Parameters
    from mmvae.codec import State as State
    from mmvae.comparison.compare import compare as compare
    from mmvae.data.batches import Batch as Batch
    from mmvae.data.written import written_number as written_number
    from mmvae.errors import ConfigError as ConfigError
    from mmvae.errors import DataError as DataError
    from mmvae.errors import MmvaeError as MmvaeError
    from mmvae.errors import UnsupportedValue as UnsupportedValue
    from mmvae.errors import UsageError as UsageError
    from mmvae.errors import nearest as nearest
    from mmvae.evaluation.metric import Metric as Metric
    from mmvae.evaluation.metric import MetricConfig as MetricConfig
    from mmvae.evaluation.metric import Specimen as Specimen
    from mmvae.examples import Examples as Examples
    from mmvae.family import Family as Family
    from mmvae.family import FamilyConfig as FamilyConfig
    from mmvae.hookspecs import hookimpl as hookimpl
    from mmvae.maker import Maker as Maker
    from mmvae.maker import MakerConfig as MakerConfig
    from mmvae.models.encoders import Fusion as Fusion
    from mmvae.models.encoders import PosteriorNetwork as PosteriorNetwork
    from mmvae.models.extension import Extension as Extension
    from mmvae.models.extension import ExtensionConfig as ExtensionConfig
    from mmvae.models.finite import finite_values as finite_values
    from mmvae.models.finite import require_finite as require_finite
    from mmvae.models.heads import Variance as Variance
    from mmvae.models.protocol import ByModality as ByModality
    from mmvae.models.protocol import Model as Model
    from mmvae.models.protocol import ModelConfig as ModelConfig
    from mmvae.models.protocol import Phase as Phase
    from mmvae.models.protocol import Terms as Terms
    from mmvae.models.protocol import Trainable as Trainable
    from mmvae.networks import Activation as Activation
    from mmvae.networks import activation as activation
    from mmvae.networks import bounded as bounded
    from mmvae.networks import mlp as mlp
    from mmvae.posteriors import DiagonalGaussian as DiagonalGaussian
    from mmvae.posteriors import Posterior as Posterior
    from mmvae.posteriors import kl_divergence as kl_divergence
    from mmvae.posteriors import register_kl as register_kl
    from mmvae.randomness import StepDraws as StepDraws
    from mmvae.report.canvas import Picture as Picture
    from mmvae.report.subject import Subject as Subject
    from mmvae.results import evaluate as evaluate
    from mmvae.source import Source as Source
    from mmvae.source import SourceConfig as SourceConfig
    from mmvae.source import Split as Split
    from mmvae.source import SplitName as SplitName
    from mmvae.trained import TrainedModel as TrainedModel
    from mmvae.training.observer import Observer as Observer
    from mmvae.training.observer import ObserverConfig as ObserverConfig
    from mmvae.training.observer import Watched as Watched


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmvae' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
