"""`scalable schema` writes the JSON Schema of the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML


def test_the_schema_accepts_what_validate_accepts(scalable, project: Path) -> None:
    """The manifest of a new project fits the schema that an editor would use; a slip in it does not."""
    schema = json.loads(scalable("schema").stdout)
    manifest = YAML(typ="safe").load((project / "scalable.yaml").read_text())

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)
    manifest["components"]["model"]["memry"] = "1G"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, schema)


def test_the_schema_can_be_written_to_a_file(scalable, tmp_path: Path) -> None:
    """--output writes the same text and says for which providers it is."""
    done = scalable("schema", "--output", "manifest.schema.json")

    assert done.stdout == ""
    assert "Wrote manifest.schema.json for " in done.stderr
    assert "local" in done.stderr
    assert (tmp_path / "manifest.schema.json").read_text() == scalable("schema").stdout


def test_a_broken_provider_is_left_out_and_named(scalable, tmp_path: Path) -> None:
    """One bad plugin does not cost the others their place in the schema."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[scalable.providers]\nacme = acme_is_nowhere\n")

    done = scalable("schema", PYTHONPATH=str(tmp_path))

    assert done.returncode == 0
    assert "! left out: provider 'acme' (acme 1.0)" in done.stderr
    assert json.loads(done.stdout)["properties"]["targets"]
