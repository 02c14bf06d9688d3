"""Evaluation of a trained model: bounds, cross-generation, coherence."""
