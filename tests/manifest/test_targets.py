"""Targets: which one is selected, and what its provider's options class makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from scalable_core.errors import ManifestError, ProviderBrokenError, ProviderNotFoundError
from scalable_core.manifest import read_manifest
from scalable_core.types import Manifest, Problem, Secret, option

Problems = Callable[..., tuple[Problem, ...]]
Read = Callable[..., Manifest]
Cloud = Callable[[str], str]

HEAD = "version: 1\nproject: {name: study}\ntargets:\n"


def targets(*names: str) -> str:
    """A manifest with local targets of those names."""
    return HEAD + "".join(f"  {name}: {{provider: local}}\n" for name in names)


@pytest.mark.parametrize(
    ("names", "environ", "selected"),
    [
        (["only"], {}, "only"),
        (["one", "local"], {}, "local"),
        (["one", "local"], {"SCALABLE_TARGET": "one"}, "one"),
        (["one", "local"], {"SCALABLE_TARGET": ""}, "local"),
    ],
)
def test_target_is_chosen_when_none_is_named(
    names: list[str], environ: Mapping[str, str], selected: str, read: Read
) -> None:
    """`SCALABLE_TARGET`, else the only one, else `local`."""
    manifest = read(targets(*names), environ=environ)

    assert manifest.target is not None
    assert manifest.target.name == selected
    assert list(manifest.providers) == names


def test_no_target_can_be_chosen(problems: Problems) -> None:
    """Without a `local` among several the sentence lists what there is."""
    (found,) = problems(targets("one", "two"))

    assert (found.code, found.line, found.column) == ("E0208", 3, 1)
    assert found.cure == "name one with --target: one, two"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "lcoal"}, "'lcoal'"),
        ({"environ": {"SCALABLE_TARGET": "lcoal"}}, "'lcoal' (SCALABLE_TARGET)"),
    ],
)
def test_unknown_target_is_an_error(more: dict[str, Any], words: str, problems: Problems) -> None:
    """It says where the name came from, and the close one."""
    (found,) = problems(targets("local", "far"), **more)

    assert (found.code, found.cure) == ("E0204", "did you mean 'local'?")
    assert words in found.message


def test_every_type_of_field_is_read(read: Read, cloud: Cloud) -> None:
    """Quantities in the service's units, lists, mappings, nested classes, unions and untyped values."""
    lines = (
        "region: here\nimage: a/b:1\nworker_cpu: 4096\nworker_mem: 16384\nidle: 2m\nshare: 1\nspot: true\n"
        "subnets: [a, b]\nlabels: {k: v}\nvolumes: [{path: /a, size: 1G}, {path: /b}]\nvolume: {path: /c}\n"
        "port: 80\nextra: {x: [1, {y: z}]}\nenvironment: {A: b}\nadaptive: {maximum: 3}\n"
    )

    target = read(cloud(lines)).target

    assert target is not None
    assert (target.provider, target.cluster_type) == ("cloud", "fargate")
    options = target.options
    assert (options.worker_cpu, options.worker_mem, options.idle) == (4.0, 16 * 2**30, 120.0)
    assert (options.share, type(options.share), options.spot) == (1.0, float, True)
    assert (options.subnets, options.labels) == (("a", "b"), {"k": "v"})
    assert [(v.path, v.size) for v in options.volumes] == [("/a", 2**30), ("/b", None)]
    assert (options.volume.path, options.port) == ("/c", 80)
    assert options.extra == {"x": [1, {"y": "z"}]}
    assert (type(options.extra), type(options.extra["x"]), type(options.region)) == (
        dict,
        list,
        str,
    )
    assert options.environment == {"A": "b"}
    assert (options.adaptive.minimum, options.adaptive.maximum) == (0, 3)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("worker_cpu: many", "6:17  E0101  targets.far.worker_cpu: 'many' is not a number of CPUs"),
        ("idle: 2h", "6:11  E0104  targets.far.idle: must be at most 1h00m, got '2h'"),
        ("share: 1.5", "6:12  E0104  targets.far.share: must be at most 1, got 1.5"),
        ("share: .inf", "6:12  E0101  targets.far.share: wanted a number, got the number inf"),
        ("share: nan", "6:12  E0101  targets.far.share: wanted a number, got 'nan'"),
        (
            "volumes: [{path: /a}, {size: 1G}]",
            "6:27  E0103  targets.far.volumes.1: 'path' is missing",
        ),
        (
            "volumes: [{path: 1}]",
            "6:22  E0101  targets.far.volumes.0.path: wanted text, got",
        ),
        (
            "volume: {path: a, sise: 1}",
            "6:23  E0102  targets.far.volume.sise: unknown option; did you",
        ),
        ("port: [80]", "6:11  E0101  targets.far.port: wanted a whole number or text, got a list"),
        ("labels: {a: {b: c}}", "6:17  E0101  targets.far.labels.a: wanted text, got a mapping"),
        ("arn: x", "6:5  E0102  targets.far.arn: unknown option"),
        (
            "cluster_typ: ec2",
            "6:5  E0102  targets.far.cluster_typ: unknown option; did you mean",
        ),
        (
            "cluster_type: fargte",
            "6:19  E0206  targets.far.cluster_type: wanted one of fargate, ec2, got 'fargte'",
        ),
        (
            "cluster_type: [ec2]",
            "6:19  E0206  targets.far.cluster_type: wanted one of fargate, ec2, got a list",
        ),
        (
            "cluster_type: ec2",
            "4:3  E0103  targets.far: 'instance_type' is missing; add instance_type",
        ),
    ],
)
def test_wrong_option_is_said_at_its_place(
    lines: str, sentence: str, problems: Problems, cloud: Cloud
) -> None:
    """Each kind of field says what it wanted."""
    (found,) = problems(cloud(lines + "\nregion: here"))

    assert str(found).rpartition("scalable.yaml:")[2].startswith(sentence)


def test_missing_option_points_to_the_target(problems: Problems) -> None:
    """A required option that is not there is placed at the target's name."""
    (found,) = problems(HEAD + "  far: {provider: cloud}\n")

    assert (found.code, found.line, found.column, found.where) == ("E0103", 4, 3, "targets.far")
    assert found.message == "'region' is missing"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "{max_workers: 3}",
            "4:3  E0103  targets.x: 'provider' is missing; write for example provider: local",
        ),
        ("", "4:3  E0103  targets.x: 'provider' is missing"),
        ("{provider: 3}", "4:17  E0101  targets.x.provider: wanted the name of a provider"),
        ("{provider: [local]}", "4:17  E0101  targets.x.provider: wanted the name of a provider"),
        ("local", "4:6  E0101  targets.x: wanted a mapping; write for example {provider: local}"),
        (
            "{provider: local, cluster_type: a}",
            "4:24  E0206  targets.x.cluster_type: the provider",
        ),
    ],
)
def test_target_that_is_none(target: str, sentence: str, problems: Problems) -> None:
    """Without a provider there is nothing to check the rest by."""
    (found,) = problems(HEAD + f"  x: {target}\n")

    assert str(found).rpartition("scalable.yaml:")[2].startswith(sentence)


@pytest.mark.parametrize(
    ("provider", "cure"),
    [
        ("aws", "pip install 'scalable[aws]'"),
        ("lcoal", "did you mean 'local'?"),
        ("slurm", "install the package that provides it, such as: pip install scalable-slurm"),
    ],
)
def test_provider_that_is_not_installed(provider: str, cure: str, problems: Problems) -> None:
    """An error with the way to get it when it is selected, a warning when another target is or none is."""
    text = targets("local") + f"  far: {{provider: {provider}}}\n"

    (selected,) = problems(text, target="far")
    (beside,) = problems(text, target="local")
    (unselected,) = problems(text, target=None)

    assert (selected.code, selected.severity, selected.line, selected.column) == (
        "E0202",
        "error",
        5,
        19,
    )
    assert selected.message == f"the provider {provider!r} is not installed"
    assert selected.cure == beside.cure == unselected.cure == cure
    assert (
        ("W0202", "warning")
        == (beside.code, beside.severity)
        == (unselected.code, unselected.severity)
    )


@attrs.frozen(kw_only=True)
class Untypable:
    """Options whose types cannot be found."""

    a: NoSuchType = option(default=None, help="Broken.")  # type: ignore[name-defined]  # noqa: F821


def broken(name: str) -> Any:
    """A lookup that has every way to fail."""
    if name == "raising":
        raise OSError("disk gone")
    if name == "gone":
        raise ProviderNotFoundError("no plugin is called 'gone'", cure="look elsewhere")
    if name == "broken":
        raise ProviderBrokenError("plugin 'broken' cannot be imported", cure="pip install it again")
    return {"plain": int, "empty": {}, "untypable": Untypable}[name]


@pytest.mark.parametrize(
    ("provider", "code", "message"),
    [
        ("gone", "E0202", "no plugin is called 'gone'"),
        ("broken", "E0203", "plugin 'broken' cannot be imported"),
        ("raising", "E0203", "the options of the provider 'raising' cannot be used: disk gone"),
        (
            "plain",
            "E0203",
            "the options of the provider 'plain' cannot be used: they are no attrs classes",
        ),
        (
            "empty",
            "E0203",
            "the options of the provider 'empty' cannot be used: they are no attrs classes",
        ),
        ("untypable", "E0203", "the options of the provider 'untypable' cannot be used"),
    ],
)
def test_broken_provider_is_a_problem_of_its_target(
    provider: str, code: str, message: str, path: Path
) -> None:
    """What the plugin host raises, and options that are none, become a problem at the provider's name."""
    path.write_text(HEAD + f"  x: {{provider: {provider}}}\n")

    with pytest.raises(ManifestError) as caught:
        read_manifest(path, options=broken, environ={})
    (found,) = caught.value.problems
    warned = read_manifest(path, target=None, options=broken, environ={}).problems[0]

    assert (found.code, found.line, found.column) == (code, 4, 17)
    assert message in found.message
    assert warned.severity == "warning"
    assert warned.message == found.message


def test_mistake_in_another_target_is_a_warning(problems: Problems, cloud: Cloud) -> None:
    """It does not keep the selected target from running; without a selection it is an error."""
    text = cloud("regoin: here") + "  local: {provider: local}\n"

    assert {p.severity for p in problems(text, target="local")} == {"warning"}
    assert {p.severity for p in problems(text, target=None)} == {"error"}
    assert {p.severity for p in problems(text, target="far")} == {"error"}


@attrs.frozen(kw_only=True)
class Validated:
    """Options with a rule of their own."""

    zones: tuple[str, ...] = option(default=(), help="Zones.")
    key: Secret | None = option(default=None, secret=True, help="Key.")

    def __attrs_post_init__(self) -> None:
        if len(self.zones) == 1:
            raise ValueError("one zone is not enough")


def test_rule_of_an_options_class_is_told_in_its_own_words(path: Path) -> None:
    """What a class raises when it is made becomes a problem of the target."""
    path.write_text(HEAD + "  x: {provider: any, zones: [a]}\n")

    with pytest.raises(ManifestError) as caught:
        read_manifest(path, options=lambda name: Validated, environ={})
    (found,) = caught.value.problems

    assert (found.message, found.where) == ("one zone is not enough", "targets.x")
