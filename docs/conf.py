"""Sphinx configuration; `make docs` builds the site with every warning an error."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from mmvae import __version__

project = "mmvae"
author = "The mmvae developers"
project_copyright = "2026, The mmvae developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "command_reference",
    "config_reference",
    "hook_reference",
    "plugin_readmes",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "mmvae"
html_static_path = ["_static"]

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
math_numfig = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
