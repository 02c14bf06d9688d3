"""Where items come from, and how they reach the model: splits, order and batches."""
