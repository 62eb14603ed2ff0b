"""Whatever is done to a manifest, reading it gives a `Manifest` or a `ManifestError`, never anything else."""

from __future__ import annotations

import contextlib
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scalable_core.errors import ManifestError
from scalable_core.manifest import place_problems, read_manifest
from scalable_core.types import Manifest, Problem, to_data

GOOD = """\
version: 1
project: {name: study, default_storage: 's3://${BUCKET:-b}/x'}
targets:
  local: {provider: local, max_workers: 4, containers: none, overlay: big}
  far:
    provider: cloud
    cluster_type: fargate
    region: ${REGION:-here}
    worker_cpu: 4096
    worker_mem: 16384
    volumes: [{path: /a, size: 1G, key: k}]
    environment: {A: '${TOKEN:-t}'}
    adaptive: {minimum: 1, maximum: 10}
components:
  model: &model {cpus: 4, memory: 16G, env: {A: "b"}, tags: [x, y]}
  post: {<<: *model, gpus: 1}
tasks:
  step: {component: model, retries: 2, timeout: 1h, expect: {count: 5, output: 20M}}
overlays:
  big: {components: {model: {cpus: 8}}}
"""

#: Pieces of text that mean something to YAML or to a manifest.
PIECES = [
    *(
        "\t",
        "\n",
        " ",
        "  ",
        ":",
        ": ",
        "- ",
        "-",
        "#",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "\\",
        "@",
        "`",
        "é",
    ),
    *(
        "&a ",
        "*a",
        "*model",
        "!",
        "!!str ",
        "!!python/name:os.system ",
        "? ",
        "|",
        ">",
        "|\n",
        "%",
        "\r",
        "\r\n",
    ),
    *(
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "<<: ",
        "<<: *model",
        "${",
        "${X}",
        "$${",
        "${X:-",
        "\\ud800",
        '"\\0"',
    ),
    *(
        "~",
        "null",
        "true",
        "no",
        "0",
        "-1",
        "1e999",
        ".nan",
        "-.inf",
        "0x1F",
        "010",
        "9" * 30,
        '"\\ud800"',
    ),
    *("\x00", "\x07", "\ufeff", "\u2028", "\U0001f600"),
    *("name", "version", "overlay: big", "provider: gone", "targets:", "components: "),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([piece for piece in PIECES if piece.isprintable()])
    | st.text(string.printable, max_size=8)
    | st.dates()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def check(path: Path, options: dict[str, Any], target: str | None, overlays: list[str]) -> None:
    """Read a file and use what comes out."""
    problems: tuple[Problem, ...]
    try:
        manifest = read_manifest(
            path, target=target, overlays=overlays, options=options.get, environ={"X": "9"}
        )
    except ManifestError as error:
        problems = error.problems
        assert any(problem.severity == "error" for problem in problems)
        assert all("\n" not in str(problem) for problem in problems)
        str(error).encode()
    else:
        assert isinstance(manifest, Manifest)
        assert all(problem.severity == "warning" for problem in manifest.problems)
        to_data(manifest)
        repr(manifest).encode()
        problems = manifest.problems
    assert all(problem.file == str(path) for problem in problems)
    place_problems(
        [Problem(code="E0301", message="m", where="volumes.0.path")], path, "targets.far"
    )


targets = st.sampled_from(["local", "far", None, "gone"])
overlays = st.sampled_from([[], ["big"], ["gone"]])
unhurried = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@unhurried
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 8), target=targets, overlays=overlays)
def test_changed_text_never_gives_a_traceback(
    seed: int,
    changes: int,
    target: str | None,
    overlays: list[str],
    path: Path,
    options: dict[str, Any],
) -> None:
    """Pieces put in, taken out, doubled and moved, anywhere in the text."""
    chance = random.Random(seed)
    text = GOOD
    for _ in range(changes):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 1, 2, 10, 60]))
        text = text[:start] + chance.choice([*PIECES, text[start:end] * 2, ""]) + text[end:]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    check(path, options, target, overlays)


@unhurried
@given(data=st.data(), target=targets, overlays=overlays)
def test_changed_structure_never_gives_a_traceback(
    data: st.DataObject,
    target: str | None,
    overlays: list[str],
    path: Path,
    options: dict[str, Any],
) -> None:
    """Any value in the place of any other."""
    yaml = YAML(typ="safe", pure=True)
    document: Any = yaml.load(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        node, last = document, None
        while isinstance(node, (dict, list)) and node and data.draw(st.integers(0, 4)):
            last = node
            key = data.draw(
                st.sampled_from(list(node) if isinstance(node, dict) else range(len(node)))
            )
            node = node[key]
        if last is not None:
            last[key] = data.draw(values)
    with contextlib.suppress(Exception), path.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)

    check(path, options, target, overlays)


@unhurried
@given(text=st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_arbitrary_text_never_gives_a_traceback(
    text: str, path: Path, options: dict[str, Any]
) -> None:
    """Anything at all in the place of a manifest."""
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    check(path, options, None, [])


@unhurried
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_never_give_a_traceback(
    data: bytes, path: Path, options: dict[str, Any]
) -> None:
    """Any bytes."""
    path.write_bytes(data)

    check(path, options, None, [])


@pytest.mark.parametrize("target", ["local", "far", None])
def test_unchanged_manifest_is_good(
    target: str | None, path: Path, options: dict[str, Any]
) -> None:
    """What the mutations start from has no problem."""
    path.write_text(GOOD)

    manifest = read_manifest(path, target=target, options=options.get, environ={})

    assert manifest.problems == ()
