"""The start of a plugin: a distribution that works as it is written."""

from mmvae.plugins.scaffold.distribution import write_distribution

__all__ = ["write_distribution"]
