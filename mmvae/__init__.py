"""mmvae: plugin-based multimodal variational autoencoders for any number of modalities.

The public names are loaded when they are first used, so that ``import mmvae`` and
``mmvae --help`` are quick and import neither torch nor any plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Codec": "mmvae.modalities.codec",
    "CodecConfig": "mmvae.modalities.codec_config",
    "Column": "mmvae.modalities.column",
    "Examples": "mmvae.modalities.codec_examples",
    "LazyValues": "mmvae.modalities.column",
    "Parameters": "mmvae.modalities.likelihoods.likelihood",
    "Likelihood": "mmvae.modalities.likelihoods.likelihood",
    "cells_of": "mmvae.modalities.likelihoods.likelihood",
    "product_over_cells": "mmvae.modalities.likelihoods.likelihood",
    "seeded_sample": "mmvae.modalities.likelihoods.likelihood",
    "GaussianLikelihood": "mmvae.modalities.likelihoods.gaussian",
    "LaplaceLikelihood": "mmvae.modalities.likelihoods.laplace",
    "StudentTLikelihood": "mmvae.modalities.likelihoods.student_t",
    "SoftplusScale": "mmvae.modalities.likelihoods.location_scale",
    "LocationScaleLikelihood": "mmvae.modalities.likelihoods.location_scale",
    "BernoulliLikelihood": "mmvae.modalities.likelihoods.bernoulli",
    "draw_bernoulli": "mmvae.modalities.likelihoods.bernoulli",
    "ContinuousBernoulliLikelihood": "mmvae.modalities.likelihoods.continuous_bernoulli",
    "CategoricalLikelihood": "mmvae.modalities.likelihoods.categorical",
    "State": "mmvae.modalities.recipe",
    "EncoderWidths": "mmvae.modalities.codec_config",
    "DecoderWidths": "mmvae.modalities.codec_config",
    "DenseActivation": "mmvae.modalities.codec_config",
    "check_names": "mmvae.modalities.names",
    "check_standardised": "mmvae.modalities.standardised",
    "DenseCodec": "mmvae.modalities.dense_codec",
    "Names": "mmvae.modalities.names",
    "distinct_names": "mmvae.modalities.names",
    "listed": "mmvae.modalities.names",
    "Maker": "mmvae.data.generator",
    "MakerConfig": "mmvae.data.generator",
    "Source": "mmvae.data.source",
    "SourceConfig": "mmvae.data.source",
    "Split": "mmvae.data.source",
    "SplitName": "mmvae.data.split_names",
    "UnsupportedValue": "mmvae.foundations.errors",
    "MmvaeError": "mmvae.foundations.errors",
    "ConfigError": "mmvae.foundations.errors",
    "DataError": "mmvae.foundations.errors",
    "UsageError": "mmvae.foundations.errors",
    "nearest": "mmvae.foundations.errors",
    "hookimpl": "mmvae.plugins.hookspecs",
    "mlp": "mmvae.foundations.networks",
    "activation": "mmvae.foundations.networks",
    "bounded": "mmvae.foundations.networks",
    "Activation": "mmvae.foundations.networks",
    "Family": "mmvae.models.families",
    "FamilyConfig": "mmvae.models.families",
    "Posterior": "mmvae.models.posteriors",
    "DiagonalGaussian": "mmvae.models.posteriors",
    "register_kl": "mmvae.models.posteriors",
    "kl_divergence": "mmvae.models.posteriors",
    "Model": "mmvae.models.base",
    "ModelConfig": "mmvae.models.base",
    "VariationalModel": "mmvae.models.variational",
    "elbo": "mmvae.models.objective",
    "Phase": "mmvae.models.phase",
    "Terms": "mmvae.models.phase",
    "Trainable": "mmvae.models.trainable",
    "ByModality": "mmvae.models.by_modality",
    "Extension": "mmvae.models.extension",
    "ExtensionConfig": "mmvae.models.extension",
    "Metric": "mmvae.evaluation.metric",
    "MetricConfig": "mmvae.evaluation.metric",
    "Specimen": "mmvae.evaluation.metric",
    "Observer": "mmvae.training.observer",
    "ObserverConfig": "mmvae.training.observer",
    "Watched": "mmvae.training.observer",
    "PosteriorNetwork": "mmvae.models.posterior_network",
    "Fusion": "mmvae.models.posterior_network",
    "Variance": "mmvae.models.heads",
    "Batch": "mmvae.data.batches",
    "StepDraws": "mmvae.foundations.randomness",
    "written_number": "mmvae.data.written_cells",
    "typed_cells": "mmvae.data.typed_cells",
    "is_unicode": "mmvae.foundations.printable",
    "finite_values": "mmvae.models.finite",
    "require_finite": "mmvae.models.finite",
    "Picture": "mmvae.report.canvas",
    "Subject": "mmvae.report.subject",
    "train": "mmvae.experiments.train",
    "resume": "mmvae.experiments.train",
    "load": "mmvae.experiments.train",
    "evaluate": "mmvae.experiments.evaluate",
    "compare": "mmvae.experiments.comparison.compare",
    "TrainedModel": "mmvae.inference.trained_model",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from mmvae.data.batches import Batch as Batch
    from mmvae.data.generator import Maker as Maker
    from mmvae.data.generator import MakerConfig as MakerConfig
    from mmvae.data.source import Source as Source
    from mmvae.data.source import SourceConfig as SourceConfig
    from mmvae.data.source import Split as Split
    from mmvae.data.split_names import SplitName as SplitName
    from mmvae.data.typed_cells import typed_cells as typed_cells
    from mmvae.data.written_cells import written_number as written_number
    from mmvae.evaluation.metric import Metric as Metric
    from mmvae.evaluation.metric import MetricConfig as MetricConfig
    from mmvae.evaluation.metric import Specimen as Specimen
    from mmvae.experiments.comparison.compare import compare as compare
    from mmvae.experiments.evaluate import evaluate as evaluate
    from mmvae.experiments.train import load as load
    from mmvae.experiments.train import resume as resume
    from mmvae.experiments.train import train as train
    from mmvae.foundations.errors import ConfigError as ConfigError
    from mmvae.foundations.errors import DataError as DataError
    from mmvae.foundations.errors import MmvaeError as MmvaeError
    from mmvae.foundations.errors import UnsupportedValue as UnsupportedValue
    from mmvae.foundations.errors import UsageError as UsageError
    from mmvae.foundations.errors import nearest as nearest
    from mmvae.foundations.networks import Activation as Activation
    from mmvae.foundations.networks import activation as activation
    from mmvae.foundations.networks import bounded as bounded
    from mmvae.foundations.networks import mlp as mlp
    from mmvae.foundations.printable import is_unicode as is_unicode
    from mmvae.foundations.randomness import StepDraws as StepDraws
    from mmvae.inference.trained_model import TrainedModel as TrainedModel
    from mmvae.modalities.codec import Codec as Codec
    from mmvae.modalities.codec_config import CodecConfig as CodecConfig
    from mmvae.modalities.codec_config import DecoderWidths as DecoderWidths
    from mmvae.modalities.codec_config import DenseActivation as DenseActivation
    from mmvae.modalities.codec_config import EncoderWidths as EncoderWidths
    from mmvae.modalities.codec_examples import Examples as Examples
    from mmvae.modalities.column import Column as Column
    from mmvae.modalities.column import LazyValues as LazyValues
    from mmvae.modalities.dense_codec import DenseCodec as DenseCodec
    from mmvae.modalities.likelihoods.bernoulli import BernoulliLikelihood as BernoulliLikelihood
    from mmvae.modalities.likelihoods.bernoulli import draw_bernoulli as draw_bernoulli
    from mmvae.modalities.likelihoods.categorical import (
        CategoricalLikelihood as CategoricalLikelihood,
    )
    from mmvae.modalities.likelihoods.continuous_bernoulli import (
        ContinuousBernoulliLikelihood as ContinuousBernoulliLikelihood,
    )
    from mmvae.modalities.likelihoods.gaussian import GaussianLikelihood as GaussianLikelihood
    from mmvae.modalities.likelihoods.laplace import LaplaceLikelihood as LaplaceLikelihood
    from mmvae.modalities.likelihoods.likelihood import Likelihood as Likelihood
    from mmvae.modalities.likelihoods.likelihood import Parameters as Parameters
    from mmvae.modalities.likelihoods.likelihood import cells_of as cells_of
    from mmvae.modalities.likelihoods.likelihood import product_over_cells as product_over_cells
    from mmvae.modalities.likelihoods.likelihood import seeded_sample as seeded_sample
    from mmvae.modalities.likelihoods.location_scale import (
        LocationScaleLikelihood as LocationScaleLikelihood,
    )
    from mmvae.modalities.likelihoods.location_scale import SoftplusScale as SoftplusScale
    from mmvae.modalities.likelihoods.student_t import StudentTLikelihood as StudentTLikelihood
    from mmvae.modalities.names import Names as Names
    from mmvae.modalities.names import check_names as check_names
    from mmvae.modalities.names import distinct_names as distinct_names
    from mmvae.modalities.names import listed as listed
    from mmvae.modalities.recipe import State as State
    from mmvae.modalities.standardised import check_standardised as check_standardised
    from mmvae.models.base import Model as Model
    from mmvae.models.base import ModelConfig as ModelConfig
    from mmvae.models.by_modality import ByModality as ByModality
    from mmvae.models.extension import Extension as Extension
    from mmvae.models.extension import ExtensionConfig as ExtensionConfig
    from mmvae.models.families import Family as Family
    from mmvae.models.families import FamilyConfig as FamilyConfig
    from mmvae.models.finite import finite_values as finite_values
    from mmvae.models.finite import require_finite as require_finite
    from mmvae.models.heads import Variance as Variance
    from mmvae.models.objective import elbo as elbo
    from mmvae.models.phase import Phase as Phase
    from mmvae.models.phase import Terms as Terms
    from mmvae.models.posterior_network import Fusion as Fusion
    from mmvae.models.posterior_network import PosteriorNetwork as PosteriorNetwork
    from mmvae.models.posteriors import DiagonalGaussian as DiagonalGaussian
    from mmvae.models.posteriors import Posterior as Posterior
    from mmvae.models.posteriors import kl_divergence as kl_divergence
    from mmvae.models.posteriors import register_kl as register_kl
    from mmvae.models.trainable import Trainable as Trainable
    from mmvae.models.variational import VariationalModel as VariationalModel
    from mmvae.plugins.hookspecs import hookimpl as hookimpl
    from mmvae.report.canvas import Picture as Picture
    from mmvae.report.subject import Subject as Subject
    from mmvae.training.observer import Observer as Observer
    from mmvae.training.observer import ObserverConfig as ObserverConfig
    from mmvae.training.observer import Watched as Watched


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmvae' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
