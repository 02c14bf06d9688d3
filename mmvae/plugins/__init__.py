"""Plugins: hooks, roles, discovery, and errors."""
