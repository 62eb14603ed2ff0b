"""A resolved manifest as text that people can read, for the folder of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from scalable_core.types import to_data


def manifest_text(document: Mapping[str, Any]) -> str:
    """Return the document of a `Manifest` as YAML; secrets appear as the variables' names.

    Args:
        document: ``Manifest.document``.
    """
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.representer.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(to_data(document), stream)
    return stream.getvalue()
