"""The core's own model, sources and metric, offered by the hooks that every plugin uses."""

from __future__ import annotations

from mmvae.data.folder import FolderSource
from mmvae.data.memory import MemorySource
from mmvae.data.table import TableSource
from mmvae.evaluation.latent import LatentKL
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.hookspecs import hookimpl
from mmvae.plugins.roles import Register


class CoreModels:
    """The plugin ``jmvae``."""

    @staticmethod
    @hookimpl
    def register_models(register: Register) -> None:
        """Offer JMVAE."""
        register(JMVAE)


class CoreSources:
    """The plugin ``table``."""

    @staticmethod
    @hookimpl
    def register_sources(register: Register) -> None:
        """Offer tables, folders of files and data in memory."""
        register(TableSource)
        register(FolderSource)
        register(MemorySource)


class CoreMetrics:
    """The plugin ``latent``."""

    @staticmethod
    @hookimpl
    def register_metrics(register: Register) -> None:
        """Offer the metric of the KL per dimension of z."""
        register(LatentKL)
