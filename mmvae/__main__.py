"""``python -m mmvae``: the command line without an installed script."""

from mmvae.cli.start import main

main()
