"""Comparison of evaluated runs; no model is loaded and no data are opened."""
