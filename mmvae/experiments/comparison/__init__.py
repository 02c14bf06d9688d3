"""Evaluated runs side by side; no model is loaded and no data are opened."""
