"""Errors, files, locks, signals, randomness, TOML and small networks: the base of every room."""
