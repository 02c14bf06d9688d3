"""Modalities: the codec contract, types of columns, and subsets."""
