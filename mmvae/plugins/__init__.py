"""Plugins: hooks, roles, discovery and errors; the plugins themselves are in ``plugins/``."""
