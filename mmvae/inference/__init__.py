"""Use of a trained model: imputation, retrieval, and its folder."""
