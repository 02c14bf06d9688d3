"""Sources of items, and their way to the model: splits, order and batches."""
