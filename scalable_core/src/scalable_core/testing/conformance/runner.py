"""The checks without pytest: each one run by itself, its outcome a row with one sentence."""

from __future__ import annotations

import unittest
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import attrs
from attrs import frozen

from scalable_core.errors import ManifestError, ScalableError
from scalable_core.testing.conformance import (
    ArtifactConformance,
    ClusterConformance,
    Conformance,
    OfflineConformance,
)
from scalable_core.testing.conformance.base import aspect_of, checks_of
from scalable_core.testing.conformance.subject import Subject, module_of

#: CPU seconds that importing a plugin may take.
IMPORT_SECONDS = 0.3

Outcome = Literal["passed", "failed", "skipped", "not run"]


@frozen(kw_only=True)
class Result:
    """How one check went.

    Attributes:
        aspect: Such as ``estimate``.
        check: Its name.
        outcome: ``skipped`` does not apply to the provider; ``not run`` would create something.
        sentence: What is wrong, or why it was left out; empty when it passed.
    """

    aspect: str
    check: str
    outcome: Outcome
    sentence: str = ""


def run_checks(cls: type[Conformance]) -> Iterator[Result]:
    """Run the checks of a class, each with an instance of its own."""
    yield from (_run(cls, name) for name in _names(cls))


def check_provider(provider: str, *, spend: bool = False) -> Iterator[Result]:
    """Run what can be run for an installed provider.

    Clusters are started only where the estimate says that they cost nothing, or when that is asked for.

    Args:
        provider: Its name.
        spend: Start clusters whatever they cost.
    """
    facts: dict[str, Any] = {"provider": provider, "import_seconds": IMPORT_SECONDS}
    facts["target"] = example_target(provider)
    offline = _kit(OfflineConformance, facts)
    first = _run(offline, OfflineConformance.test_it_is_found_by_its_metadata_and_ready.__name__)
    if first.outcome == "failed":  # the others would say the same
        yield first
        return
    yield from run_checks(offline)
    yield from run_checks(_kit(ArtifactConformance, facts))
    clusters = _kit(ClusterConformance, facts)
    if spend or _is_free(clusters):
        yield from run_checks(clusters)
        return
    for name in _names(clusters):
        yield Result(aspect=aspect_of(clusters, name), check=name, outcome="not run")


def example_target(provider: str) -> Mapping[str, Any]:
    """Return a target of a provider: the plugin's own ``EXAMPLE_TARGET``, or the least that its types allow."""
    subject = Subject.named(provider)
    try:
        told = getattr(module_of(subject), "EXAMPLE_TARGET", None)
        options = subject.options_class
    except Exception:
        return {}  # the first check says what is wrong
    if told is not None:
        return dict(told)
    attrs.resolve_types(options)
    required = (each for each in attrs.fields(options) if each.default is attrs.NOTHING)
    return {each.name: _example(each) for each in required}


def _example(each: attrs.Attribute[Any]) -> Any:
    kind: Any = each.type
    if choices := get_args(kind):
        return choices[0]
    if kind is bool:
        return True
    if kind in (int, float):
        return each.metadata.get("minimum") or 1
    return "example"


def _names(cls: type[Conformance]) -> Iterator[str]:
    """The checks of a class, without the one that is about classes of tests."""
    return (name for name in checks_of(cls) if aspect_of(cls, name) != "base")


def _kit(cls: type[Conformance], facts: Mapping[str, Any]) -> type[Conformance]:
    return type(cls.__name__, (cls,), dict(facts))


def _is_free(cls: type[Conformance]) -> bool:
    """Whether a run is known to cost nothing: every line has an amount, and it is 0."""
    instance = cls()
    instance.setup_method()
    try:
        cost = instance.subject.plan(hours=1).cost
    except Exception:
        return False
    finally:
        instance.teardown_method()
    return cost is not None and bool(cost.lines) and all(line.amount == 0 for line in cost.lines)


def _run(cls: type[Conformance], name: str) -> Result:
    outcome: Outcome = "passed"
    sentence, instance = "", cls()
    try:
        instance.setup_method()
        getattr(instance, name)()
    except unittest.SkipTest as reason:
        outcome, sentence = "skipped", str(reason)
    except Exception as error:
        outcome, sentence = "failed", _sentence(error)
    finally:
        instance.teardown_method()
    return Result(aspect=aspect_of(cls, name), check=name, outcome=outcome, sentence=sentence)


def _sentence(error: Exception) -> str:
    if isinstance(error, ManifestError) and error.problems:
        problem = error.problems[0]
        return f"{problem.where}: {problem.message}"
    text = error.message if isinstance(error, ScalableError) else str(error)
    first = text.strip().partition("\n")[0]
    if isinstance(error, AssertionError | ScalableError):
        return first
    return f"{type(error).__name__}: {first}"
