"""A trained model in use: imputation, retrieval, and its folder."""
