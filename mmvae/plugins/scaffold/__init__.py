"""The start of a plugin: a working distribution."""

from mmvae.plugins.scaffold.distribution import write_distribution

__all__ = ["write_distribution"]
