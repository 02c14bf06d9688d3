"""Likelihoods p(x|z) that codecs compose: one density per file."""
