"""`${VAR}` and `${VAR:-default}`: where they are replaced, and what an unset one does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scalable_core.types import Manifest, Problem

Problems = Callable[..., tuple[Problem, ...]]
Read = Callable[..., Manifest]

HEAD = "version: 1\nproject: {name: study}\ntargets:\n  local: {provider: local}\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("s3://${BUCKET}/runs/", "s3://b-1/runs/"),
        ("'${BUCKET}'", "b-1"),
        ("${BUCKET}${EMPTY}x", "b-1x"),
        ("${GONE:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}/x", "/x"),
        ("a-${GONE:-}", "a-"),
        ("$${BUCKET}", "${BUCKET}"),
        ("$BUCKET", "$BUCKET"),
        ("$$", "$$"),
        ("${NUMBER}", "12"),
        ("|\n    s3://${BUCKET}\n", "s3://b-1\n"),
    ],
)
def test_text_is_expanded(written: str, expected: str, read: Read) -> None:
    """A text takes the variable's value, its default, or stays as it is where `$$` or no brace is written."""
    text = HEAD.replace("{name: study}", f"\n  name: study\n  default_storage: {written}")
    manifest = read(text, environ={"BUCKET": "b-1", "EMPTY": "", "NUMBER": "12"})

    assert manifest.project.default_storage == expected


def test_whole_scalar_that_is_one_variable_can_be_a_number(read: Read) -> None:
    """`max_workers: ${N}` is read as the number that the variable holds, in quotes as well as without."""
    text = HEAD.replace(
        "{provider: local}", "\n    provider: local\n    max_workers: ${N}\n    processes: '${P}'"
    )
    manifest = read(
        text + "components: {a: {cpus: '${C:-0.5}'}}\n", environ={"N": "7", "P": "true"}
    )

    assert manifest.target is not None
    assert manifest.target.options.max_workers == 7
    assert manifest.target.options.processes is True
    assert manifest.components["a"].cpus == 0.5


def test_number_in_a_variable_stays_a_text_where_a_text_is_wanted(read: Read) -> None:
    """An account number from the environment keeps its zeros."""
    manifest = read(HEAD + "components: {a: {image: '${ACCOUNT}'}}\n", environ={"ACCOUNT": "0123"})

    assert manifest.components["a"].image == "0123"


def test_variable_of_the_wrong_kind_names_what_it_came_from(problems: Problems) -> None:
    """The sentence has the value and the text that it was written as."""
    (found,) = problems(HEAD + "components: {a: {gpus: '${N}'}}\n", environ={"N": "few"})

    assert found.message == "wanted a whole number, got 'few' (from ${N})"


@pytest.mark.parametrize(
    ("written", "column"),
    [("${BUCKET}", 20), ("s3://${BUCKET}/x", 25), ("'s3://${BUCKET}'", 26), ("&a ${BUCKET}", 20)],
)
def test_unset_variable_is_an_error_at_its_place(
    written: str, column: int, problems: Problems
) -> None:
    """It names the variable and points to it within the text."""
    text = HEAD.replace("{name: study}", f"\n  name: study\n  default_storage: {written}")
    (found,) = problems(text)

    assert (found.code, found.line, found.column) == ("E0107", 4, column)
    assert found.message == "the variable BUCKET is not set"
    assert found.where == "project.default_storage"
    assert found.cure == "set it, or give it a default: ${BUCKET:-...}"


def test_every_unset_variable_of_a_text_is_said(problems: Problems) -> None:
    """Two unset variables in one text are two problems."""
    found = problems(HEAD + "components: {a: {image: '${REPO}/x:${TAG}'}}\n")

    assert [(p.column, p.message) for p in found] == [
        (26, "the variable REPO is not set"),
        (36, "the variable TAG is not set"),
    ]


@pytest.mark.parametrize(
    "written", ["${", "${}", "${A", "${1A}", "${A-b}", "${A:?b}", "${A:-${B}}"]
)
def test_malformed_variable_is_an_error(written: str, problems: Problems) -> None:
    """What begins like a variable and is none is not taken literally."""
    found = problems(
        HEAD + f"components: {{a: {{image: '{written}'}}}}\n", environ={"A": "a", "B": "b"}
    )

    assert {p.code for p in found} == {"E0108"}
    assert "${NAME:-default}" in (found[0].cure or "")


def test_variables_of_another_target_need_not_be_set(
    read: Read, cloud: Callable[[str], str]
) -> None:
    """Only the selected target's variables are asked for."""
    text = (
        cloud("region: ${REGION}\nworker_cpu: ${CPU}\nidle: ${IDLE:-9999h}")
        + "  local: {provider: local}\n"
    )

    manifest = read(text, target="local")

    assert [p.severity for p in manifest.problems] == ["warning"]
    assert "at most" in manifest.problems[0].message


def test_variables_of_the_selected_target_must_be_set(
    problems: Problems, cloud: Callable[[str], str]
) -> None:
    """Selecting the target makes its unset variable an error."""
    (found,) = problems(cloud("region: ${REGION}"), target="far")

    assert (found.code, found.where, found.line, found.column) == (
        "E0107",
        "targets.far.region",
        6,
        13,
    )


def test_no_target_in_particular_leaves_unset_variables_of_targets(
    read: Read, cloud: Callable[[str], str]
) -> None:
    """A value whose variable is not set is not judged, the ones beside it are."""
    text = cloud("region: ${REGION}\nworker_cpu: ${CPU}\nadaptive: ${BOUNDS}\nspot: ${SPOT}")

    manifest = read(text, target=None)

    assert manifest.target is None
    assert manifest.document["targets"]["far"]["worker_cpu"] == "${CPU}"


def test_whole_target_may_wait_for_a_variable(read: Read) -> None:
    """A target, a provider and a kind of cluster that are not known yet are not judged."""
    text = (
        HEAD
        + "  a: '${A}'\n  b: {provider: '${B}', c: 1}\n  d: {provider: cloud, cluster_type: '${D}', e: 1}\n"
    )

    assert read(text, target="local").problems == ()
    assert read(text, target=None).problems == ()


def test_shared_sections_need_their_variables_whatever_the_target(problems: Problems) -> None:
    """Without a target in particular, an unset variable of a component is still an error."""
    (found,) = problems(HEAD + "components: {a: {image: '${IMAGE}'}}\n", target=None)

    assert found.code == "E0107"


def test_keys_are_not_expanded(read: Read) -> None:
    """A variable in a key stays as it is written."""
    manifest = read(HEAD + "components: {a: {env: {'${X}': y}}}\n", environ={"X": "z"})

    assert manifest.components["a"].env == {"${X}": "y"}


def test_optional_field_may_come_to_nothing(read: Read) -> None:
    """`${IMAGE:-}` without the variable is as if the field were left out."""
    assert read(HEAD + "components: {a: {image: '${IMAGE:-}'}}\n").components["a"].image is None


def test_default_storage_of_the_environment_wins(read: Read) -> None:
    """`SCALABLE_DEFAULT_STORAGE` replaces the project's, whose variables then need not be set."""
    text = HEAD.replace("{name: study}", "{name: study, default_storage: 's3://${BUCKET}/x'}")

    manifest = read(text, environ={"SCALABLE_DEFAULT_STORAGE": "gs://other/"})

    assert manifest.project.default_storage == "gs://other/"
    assert manifest.document["project"]["default_storage"] == "gs://other/"
