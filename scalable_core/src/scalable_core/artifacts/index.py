"""What lies beside a run's artifacts and says what they are: the references, as ``artifacts.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import attrs

from scalable_core.artifacts.names import check_name, plain_place
from scalable_core.errors import ArtifactError
from scalable_core.types import ArtifactRef, to_data

ARTIFACTS_SCHEMA = "scalable.artifacts/1"


def index_document(project: str, run: str, refs: Iterable[ArtifactRef]) -> dict[str, Any]:
    """Return the references of a run as plain data with ``schema`` first."""
    listed = [to_data(ref) for ref in refs]
    return {"schema": ARTIFACTS_SCHEMA, "project": project, "run": run, "artifacts": listed}


def read_index(data: bytes) -> list[ArtifactRef]:
    """Read an ``artifacts.json``; what is no reference of a proper name is left out.

    Raises:
        ArtifactError: It is none, or of another format.
    """
    try:
        document = json.loads(data)
        schema, rows = document["schema"], document["artifacts"]
    except (ValueError, TypeError, KeyError):
        raise ArtifactError("the list of the run's artifacts is damaged") from None
    if schema != ARTIFACTS_SCHEMA:
        raise ArtifactError(
            f"the list of the run's artifacts has the format {schema!r}, not {ARTIFACTS_SCHEMA}",
            cure="use a newer version of Scalable",
        )
    return latest(read_references(rows))


def read_references(rows: Iterable[Any]) -> Iterator[ArtifactRef]:
    """Yield the references among plain data; fields that this version does not know are left out."""
    fields = attrs.fields_dict(ArtifactRef)
    for row in rows:
        if isinstance(row, Mapping):
            try:
                yield ArtifactRef(**{name: row[name] for name in row if name in fields})
            except TypeError:
                continue


def latest(refs: Iterable[ArtifactRef]) -> list[ArtifactRef]:
    """Return the last reference of each name, by name; rows from before names were kept get theirs."""
    found = {}
    for ref in refs:
        named = ref if ref.name else attrs.evolve(ref, name=_name_in(ref))
        if _is_sound(named):
            found[named.name] = named
    return [found[name] for name in sorted(found)]


def place_of(ref: ArtifactRef) -> str:
    """Return the folder or URI that the run's artifacts are below, from the reference of one of them."""
    if ref.uri.lower().startswith("file:"):
        return plain_place(ref.uri)[: -len(ref.name) - 1]
    return ref.uri[: -len(ref.name) - 1]


def _name_in(ref: ArtifactRef) -> str:
    uri = unquote(ref.uri) if ref.uri.startswith("file:") else ref.uri
    return uri.partition(f"/{ref.run}/")[2]


def _is_sound(ref: ArtifactRef) -> bool:
    """Whether a reference names something of its run: it may come from a place that others write to."""
    try:
        check_name(ref.name)
    except (ArtifactError, AttributeError, TypeError):
        return False
    return ref.uri.endswith((f"/{ref.name}", f"/{quote(ref.name)}"))
