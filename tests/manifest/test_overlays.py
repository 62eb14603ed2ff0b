"""Overlays: mappings merge, lists and scalars replace; the target's come before those of the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scalable_core.errors import ManifestError
from scalable_core.types import Manifest, Problem

Problems = Callable[..., tuple[Problem, ...]]
Read = Callable[..., Manifest]

TEXT = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, overlay: OWN}
  far: {provider: cloud, region: here}
components:
  model: {cpus: 2, tags: [a, b], env: {A: one, B: two}}
tasks:
  step: {component: model, retries: 1}
overlays:
  big:
    components:
      model: {cpus: 8, tags: [c], env: {B: three}}
      post: {cpus: 1}
    targets:
      local: {max_workers: 9}
  patient:
    tasks:
      step: {retries: 5}
    components:
      model: {cpus: 4}
    project: {name: long-study}
"""


def with_own(own: str) -> str:
    """The manifest, its local target with an overlay of its own."""
    return TEXT.replace(", overlay: OWN", f", overlay: {own}" if own else "")


def test_mappings_merge_and_lists_and_scalars_replace(read: Read) -> None:
    """What the overlay says wins, what it leaves out stays, lists do not add up."""
    manifest = read(with_own("big"))

    model = manifest.components["model"]
    assert (model.cpus, model.tags, model.env) == (8.0, ("c",), {"A": "one", "B": "three"})
    assert list(manifest.components) == ["model", "post"]
    assert manifest.tasks["step"].retries == 1
    assert manifest.target is not None
    assert manifest.target.options.max_workers == 9
    assert manifest.overlays == ("big",)


def test_overlays_apply_in_order_those_of_the_command_line_last(read: Read) -> None:
    """The target's own first, then each of the command line."""
    assert read(with_own("big"), overlays=["patient"]).components["model"].cpus == 4.0
    assert read(with_own("patient"), overlays=["big"]).components["model"].cpus == 8.0
    assert read(with_own("[big, patient]")).components["model"].cpus == 4.0
    assert read(with_own("[patient, big]")).components["model"].cpus == 8.0


def test_project_and_tasks_merge_too(read: Read) -> None:
    """Every section may be overlaid."""
    manifest = read(with_own(""), overlays=["patient"])

    assert (manifest.project.name, manifest.tasks["step"].retries) == ("long-study", 5)


def test_names_that_a_reading_gave_lead_to_the_same_manifest(read: Read) -> None:
    """Reading again with `Manifest.overlays` applies nothing twice."""
    once = read(with_own("big"), overlays=["patient"])
    again = read(with_own("big"), overlays=once.overlays)

    assert (
        (once.overlays, once.lock)
        == (again.overlays, again.lock)
        == (("big", "patient"), once.lock)
    )


def test_the_document_is_the_merged_one(read: Read) -> None:
    """What a run keeps has the overlay in it and no `overlays` section."""
    document = read(with_own("big")).document

    assert document["components"]["model"]["cpus"] == 8
    assert "overlays" not in document


@pytest.mark.parametrize(
    ("own", "line", "column", "where"),
    [("bgi", 4, 37, "targets.local.overlay"), ("[big, bgi]", 4, 37, "targets.local.overlay")],
)
def test_unknown_overlay_of_a_target(
    own: str, line: int, column: int, where: str, problems: Problems
) -> None:
    """It is said at the target, with the close name."""
    (found,) = problems(with_own(own))

    assert (found.code, found.line, found.column, found.where) == ("E0205", line, column, where)
    assert (found.message, found.cure) == ("there is no overlay 'bgi'", "did you mean 'big'?")


def test_unknown_overlay_of_the_command_line(problems: Problems) -> None:
    """It is said with the names that there are."""
    (found,) = problems(with_own(""), overlays=["zzz"])

    assert (found.code, found.cure) == ("E0205", "defined: big, patient")


@pytest.mark.parametrize("own", ["3", "{a: b}", "[[big]]"])
def test_overlay_that_is_no_name(own: str, problems: Problems) -> None:
    """Numbers and mappings are no names."""
    (found,) = problems(with_own(own))

    assert (found.code, found.message) == (
        "E0101",
        "wanted the name of an overlay, or a list of names",
    )


def test_value_from_an_overlay_is_placed_in_the_overlay(problems: Problems) -> None:
    """A bad value that an overlay brought in points to the overlay's line."""
    (found,) = problems(with_own("big").replace("cpus: 8", "cpus: eight"))

    assert (found.where, found.line, found.column) == ("components.model.cpus", 13, 21)


def test_unused_overlay_is_checked_when_no_target_is_selected(problems: Problems) -> None:
    """Its misspelt keys, wrong values and unknown components are found without a target that uses it."""
    text = with_own("")
    text = text.replace("max_workers: 9", "max_workers: nine").replace(
        "retries: 5", "retrys: 5, component: gone"
    )
    text = text.replace("post: {cpus: 1}", "post: {gpu: 1}")

    found = problems(text, target=None)

    assert [(p.code, p.where, p.line) for p in found] == [
        ("E0102", "components.post.gpu", 14),
        ("E0101", "targets.local.max_workers", 16),
        ("E0102", "tasks.step.retrys", 19),
        ("E0201", "tasks.step.component", 19),
    ]


def test_overlay_may_complete_what_its_target_lacks(read: Read) -> None:
    """A required option that only the target's overlay gives is there, whichever target is selected."""
    text = (
        with_own("").replace("region: here", "overlay: [place]")
        + "  place: {targets: {far: {region: there}}}\n"
    )

    assert read(text, target="far").target.options.region == "there"  # type: ignore[union-attr]
    assert read(text, target="local").problems == ()
    assert read(text, target=None).problems == ()


def test_component_of_an_overlay_is_known_to_the_whole_file(read: Read) -> None:
    """A task may name a component that only an overlay brings, as long as no target is selected."""
    text = with_own("").replace("component: model", "component: post")

    assert read(text, target=None).problems == ()
    with pytest.raises(ManifestError, match="E0201"):
        read(text, target="local")
    assert read(text, target="local", overlays=["big"]).tasks["step"].component == "post"


@pytest.mark.parametrize(
    ("lines", "code", "where"),
    [
        ("  x: {targetz: {}}\n", "E0102", "overlays.x.targetz"),
        ("  x: {version: 1}\n", "E0102", "overlays.x.version"),
        ("  x: [components]\n", "E0101", "overlays.x"),
        ("  x: {components: [a]}\n", "E0101", "overlays.x.components"),
        ("  x y: {}\n", "E0106", "overlays.x y"),
        ("  x: {targets: {local: {overlay: big}}}\n", "E0209", "overlays.x.targets.local.overlay"),
        ("  x: {components: {a b: {}}}\n", "E0106", "overlays.x.components.a b"),
    ],
)
def test_shape_of_every_overlay_is_checked(
    lines: str, code: str, where: str, problems: Problems
) -> None:
    """Sections and names of an overlay that nothing applies are checked too."""
    (found,) = problems(with_own("") + lines, target="local")

    assert (found.code, found.where, found.line) == (code, where, 23)


def test_overlay_of_the_command_line_may_bring_a_target(read: Read) -> None:
    """A target that is only in an overlay can be selected together with it."""
    text = with_own("") + "  x: {targets: {extra: {provider: local, max_workers: 3}}}\n"

    manifest = read(text, target="extra", overlays=["x"])

    assert manifest.target is not None
    assert manifest.target.options.max_workers == 3


def test_overlay_names_may_come_from_a_variable(read: Read) -> None:
    """`overlay: ${STAGE:-big}` chooses by the environment."""
    text = with_own("'${STAGE:-big}'")

    assert read(text).overlays == ("big",)
    assert read(text, environ={"STAGE": "patient"}).overlays == ("patient",)


def test_overlay_of_the_selected_target_may_bring_another_target(read: Read) -> None:
    """What the overlay of one target brings along is not a target of the file."""
    text = with_own("x") + "  x: {targets: {extra: {provider: local}}}\n"

    assert list(read(text, target="local").providers) == ["local", "far"]
