"""How Sphinx builds the documentation: ``python -m sphinx -W docs build/docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import testopt

project = "testopt"
copyright = "the testopt authors"  # noqa: A001 - the name that Sphinx reads
release = version = testopt.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "generated_pages",
]
exclude_patterns = ["_ext"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "testopt"
html_extra_path = ["llms.txt"]
html_show_sphinx = False
