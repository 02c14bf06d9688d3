"""``python -m mmvae``: the command line without an installed script."""

from mmvae.cli.main import main

main()
