"""What may stand in a target: typed, described, bounded, and refused with a place when it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs

from scalable_core.errors import ManifestError
from scalable_core.testing.conformance.base import Conformance, refused, skip
from scalable_core.types import Adaptive, HookContext, Secret, to_data

_RESERVED = frozenset({"provider", "cluster_type", "overlay"})
_SECRET = re.compile(r"(^|_)(password|passwd|token|secret|api_key|private_key)$")


class OptionChecks(Conformance):
    """`target_options` and `check_target`."""

    def test_options_are_frozen_records_with_names(self) -> None:
        """`attrs.frozen(kw_only=True)`, so that a target cannot change under a plan."""
        for cls in self.subject.options_classes.values():
            assert attrs.has(cls), f"{cls.__name__} is not an attrs class"
            assert cls.__setattr__ is not object.__setattr__, f"{cls.__name__} is not frozen"
            loose = [each.name for each in attrs.fields(cls) if not each.kw_only]
            assert not loose, f"{cls.__name__} is not kw_only: {', '.join(loose)}"

    def test_every_option_has_one_line_of_help(self) -> None:
        """It is what the schema, the editor and the docs show."""
        for name, each in self._fields():
            text = str(each.metadata.get("help") or "")
            assert re.fullmatch(r".+\.", text), (
                f"option {name!r} needs one line of help that ends with a full stop, has {text!r}"
            )

    def test_every_option_has_a_type_that_the_schema_knows(self) -> None:
        """`scalable schema` works with it."""
        from scalable_core.manifest.schema import manifest_schema

        schema = manifest_schema({self.provider: self.subject.host.target_options(self.provider)})
        assert self.provider in str(schema["properties"]["targets"]), "the schema leaves it out"

    def test_no_option_has_a_name_of_the_manifest_itself(self) -> None:
        """`provider`, `cluster_type` and `overlay` are taken."""
        taken = sorted({name for name, _ in self._fields()} & _RESERVED)
        assert not taken, f"an option is named {', '.join(taken)}, which the manifest itself uses"

    def test_options_that_hold_secrets_say_so(self) -> None:
        """What is named like a secret is marked as one, so that it is never printed."""
        open_ = [
            name
            for name, each in self._fields()
            if _SECRET.search(name) and "str" in str(each.type) and not each.metadata.get("secret")
        ]
        assert not open_, f"mark {', '.join(open_)} with option(secret=True)"

    def test_defaults_keep_to_their_own_bounds(self) -> None:
        """What the user leaves out is as right as what the user may write."""
        for name, each in self._fields():
            value, data = _default(each), each.metadata
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            low, high = data.get("minimum"), data.get("maximum")
            inside = (low is None or value >= low) and (high is None or value <= high)
            assert inside, f"the default of {name!r}, {value}, is not from {low} to {high}"

    def test_names_that_the_plan_reads_mean_what_they_mean_elsewhere(self) -> None:
        """`worker_cpu` are vCPU, `worker_mem` bytes, `adaptive` bounds."""
        for name, each in self._fields():
            quantity = {"worker_cpu": "cpus", "worker_mem": "size"}.get(name)
            if quantity is not None:
                assert each.metadata.get("quantity") == quantity, (
                    f"option {name!r} must be declared with quantity={quantity!r}"
                )
            if name == "adaptive":
                assert Adaptive.__name__ in str(each.type), "option 'adaptive' is not an Adaptive"

    def test_asking_for_the_options_again_gives_the_same(self) -> None:
        """They are asked for whenever a manifest is read."""
        first, second = (self.subject.host.target_options(self.provider) for _ in range(2))
        assert first == second, "target_options() gives other options the second time"

    def test_the_target_that_is_tried_has_no_error(self) -> None:
        """A target with what is required is a whole one."""
        self.subject.read_target()

    def test_each_option_that_is_required_is_missed_by_name(self) -> None:
        """Left out, it is a problem with a place."""
        fields = attrs.fields(self.subject.options_class)
        for each in fields:
            if each.default is attrs.NOTHING:
                problems = self._refused(each.name, without=each.name)
                assert any(each.name in str(problem) for problem in problems), (
                    f"a target without {each.name!r} is refused, but not by that name"
                )

    def test_an_option_that_is_misspelt_is_refused_with_a_place(self) -> None:
        """Nothing that is written is silently ignored."""
        name = f"{next(iter(sorted(self.subject.option_names)), 'option')}x"
        problems = self._refused(name, **{name: 1})
        assert any(name in problem.where and problem.line for problem in problems), (
            f"the unknown option {name!r} is refused without its place"
        )

    def test_a_value_of_the_wrong_type_is_refused_with_a_place(self) -> None:
        """A mapping where a number is wanted is a problem and not a traceback."""
        from scalable_core.manifest.wanted import arms

        attrs.resolve_types(self.subject.options_class)
        for each in attrs.fields(self.subject.options_class):
            if {int, float} & set(arms(each.type)):
                problems = self._refused(each.name, **{each.name: {"a": "mapping"}})
                assert any(each.name in problem.where for problem in problems), (
                    f"{each.name!r} with a mapping is refused without its place"
                )
                return
        skip("no option is a number")

    def test_checking_a_target_is_pure(self) -> None:
        """The same problems twice, and a target that stays as it was."""
        target = self.subject.read_target()
        before = to_data(target)
        answers = [self.subject.host.check_target(target, self.subject.context) for _ in range(2)]
        assert answers[0] == answers[1], "check_target() finds other problems the second time"
        assert to_data(target) == before, "check_target() changes the target"

    def test_problems_have_codes_and_relative_places(self) -> None:
        """``E....`` or ``W....``, and a place that the core can put the target's own in front of."""
        context = HookContext(project="conformance", workdir=self.folder, dry_run=True)
        for problem in self.subject.host.check_target(self.subject.read_target(), context):
            assert re.fullmatch(r"[EWI]\d{4}", problem.code), f"{problem.code!r} is not a code"
            assert not problem.where.startswith("targets."), (
                f"{problem.code} places itself at {problem.where!r}, not relative to its target"
            )

    def test_secrets_of_the_target_are_not_printed(self) -> None:
        """Neither the target's text nor its data shows the value of a secret option."""
        secret = [name for name, each in self._fields() if each.metadata.get("secret")]
        names = [name for name in secret if name in self.subject.option_names]
        if not names:
            skip("no option is secret")
        value = "hunter2-in-the-clear"
        target = self.subject.read_target(**{names[0]: value})
        assert isinstance(getattr(target.options, names[0]), Secret), f"{names[0]} is no Secret"
        assert value not in repr(target), f"the text of a target shows {names[0]!r}"
        assert value not in str(to_data(target)), f"the data of a target show {names[0]!r}"

    def _fields(self) -> Iterator[tuple[str, attrs.Attribute[Any]]]:
        for cls in self.subject.options_classes.values():
            for each in attrs.fields(cls):
                yield each.name, each

    def _refused(self, name: str, **changes: Any) -> tuple[Any, ...]:
        with refused(ManifestError, f"a target with a wrong {name!r}") as caught:
            self.subject.read_target(**changes)
        problems: tuple[Any, ...] = caught[0].problems
        return problems


def _default(each: attrs.Attribute[Any]) -> Any:
    if isinstance(each.default, attrs.Factory):  # type: ignore[arg-type]
        return None if each.default.takes_self else each.default.factory()  # type: ignore[union-attr]
    return each.default
