"""Sphinx: how the pages are built."""

from __future__ import annotations

import importlib.metadata

project = "Scalable"
author = "The Scalable authors"
copyright = "2026, the Scalable authors"
release = version = importlib.metadata.version("scalable-core")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Scalable {release}"
html_static_path = ["_static"]
