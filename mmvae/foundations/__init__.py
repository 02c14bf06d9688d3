"""Errors, files, locks, signals, randomness, TOML and small networks: what every room uses."""
