"""The command ``mmvae edit`` and the figures: options in, a picture and its caption out."""
