"""Plugins: hooks, roles, their discovery, and the errors of each."""
