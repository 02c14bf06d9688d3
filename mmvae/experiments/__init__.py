"""Experiments: from a TOML file to a run, an evaluation, a comparison and a study."""
