"""The model protocol, JMVAE and its objective."""
