"""What may stand in a manifest: each mistake is said at its place, and all of a file at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scalable_core.errors import ManifestError
from scalable_core.types import Manifest, Problem

Problems = Callable[..., tuple[Problem, ...]]
Read = Callable[..., Manifest]

HEAD = "version: 1\nproject: {name: study}\ntargets:\n  local: {provider: local}\n"

#: A manifest, and its one problem after the name of the file.
MISTAKES = {
    "unknown section": (
        HEAD + "component: {}\n",
        "5:1  E0102  component: unknown key; did you mean 'components'?",
    ),
    "no version": (
        "project: {name: study}\ntargets:\n  local: {provider: local}\n",
        "1:1  E0105  'version' is missing; write `version: 1` as the first line",
    ),
    "newer version": (
        "version: 2\nproject: {name: study}\ntargets:\n  local: {provider: local}\n",
        (
            "1:10  E0105  version: this Scalable reads version 1 of the manifest; "
            "write `version: 1` as the first line"
        ),
    ),
    "version as text": (
        "version: '1'\nproject: {name: study}\ntargets:\n  local: {provider: local}\n",
        (
            "1:10  E0105  version: this Scalable reads version 1 of the manifest; "
            "write `version: 1` as the first line"
        ),
    ),
    "version as truth": (
        "version: true\nproject: {name: study}\ntargets:\n  local: {provider: local}\n",
        (
            "1:10  E0105  version: this Scalable reads version 1 of the manifest; "
            "write `version: 1` as the first line"
        ),
    ),
    "no project": (
        "version: 1\ntargets: {local: {provider: local}}\n",
        "1:1  E0103  project: 'project' is missing; write for example project: {name: my-study}",
    ),
    "project without name": (
        "version: 1\nproject: {}\ntargets:\n  local: {provider: local}\n",
        "2:1  E0103  project: 'name' is missing; add name",
    ),
    "project with null": (
        "version: 1\nproject: {name: }\ntargets:\n  local: {provider: local}\n",
        "2:16  E0101  project.name: wanted text, got nothing",
    ),
    "blank name": (
        "version: 1\nproject: {name: ' '}\ntargets:\n  local: {provider: local}\n",
        "2:17  E0106  project.name: a project needs a name; write one",
    ),
    "project is a list": (
        "version: 1\nproject: [a]\ntargets:\n  local: {provider: local}\n",
        "2:10  E0101  project: wanted a mapping; write `name: value` lines under it",
    ),
    "number as name": (
        "version: 1\nproject: {name: 12}\ntargets:\n  local: {provider: local}\n",
        "2:17  E0101  project.name: wanted text, got the number 12; put it in quotes",
    ),
    "no targets": (
        "version: 1\nproject: {name: a}\n",
        (
            "1:1  E0109  targets: there are no targets; "
            "write for example targets: {local: {provider: local}}"
        ),
    ),
    "empty targets": (
        "version: 1\nproject: {name: a}\ntargets:\n",
        (
            "3:1  E0109  targets: there are no targets; "
            "write for example targets: {local: {provider: local}}"
        ),
    ),
    "unknown key": (
        HEAD + "components:\n  a:\n    memry: 16G\n",
        "7:5  E0102  components.a.memry: unknown key; did you mean 'memory'?",
    ),
    "far-off key": (
        HEAD + "tasks: {a: {component: b, zzz: 1}}\ncomponents: {b: {}}\n",
        (
            "5:27  E0102  tasks.a.zzz: unknown key; "
            "known: component, cache, outputs, retries, timeout, expect"
        ),
    ),
    "unknown option": (
        HEAD.replace("local}", "local, max_worker: 3}"),
        "4:28  E0102  targets.local.max_worker: unknown option; did you mean 'max_workers'?",
    ),
    "internal field": (
        HEAD + "components: {a: {name: b}}\n",
        (
            "5:18  E0102  components.a.name: unknown key; "
            "known: image, runtime, cpus, memory, gpus, mounts, env, tags, preload_script"
        ),
    ),
    "wrong type": (
        HEAD.replace("local}", "local, max_workers: many}"),
        "4:41  E0101  targets.local.max_workers: wanted a whole number, got 'many'",
    ),
    "negative number": (
        HEAD + "tasks: {a: {component: b, retries: -1}}\ncomponents: {b: {}}\n",
        "5:36  E0104  tasks.a.retries: must be at least 0, got -1",
    ),
    "negative size": (
        HEAD + "components: {a: {memory: -5}}\n",
        "5:26  E0104  components.a.memory: -5 is not a size; it must be a number of at least 0",
    ),
    "too large": (
        HEAD.replace("local}", "local, max_workers: 2000}"),
        "4:41  E0104  targets.local.max_workers: must be at most 1000, got 2000",
    ),
    "tiny memory": (
        HEAD + "components: {a: {memory: 1M}}\n",
        "5:26  E0104  components.a.memory: must be at least 16M, got '1M'",
    ),
    "size without unit": (
        HEAD + "components: {a: {memory: 16}}\n",
        "5:26  E0101  components.a.memory: 16 has no unit; write for example 16G or 16M",
    ),
    "no size": (
        HEAD + "components: {a: {memory: big}}\n",
        "5:26  E0101  components.a.memory: 'big' is not a size; write for example 16G, 512M or 1.5TiB",
    ),
    "size as list": (
        HEAD + "components: {a: {memory: [1]}}\n",
        "5:26  E0101  components.a.memory: wanted a size such as 16G, got a list",
    ),
    "no duration": (
        HEAD + "tasks: {a: {component: b, timeout: soon}}\ncomponents: {b: {}}\n",
        "5:36  E0101  tasks.a.timeout: 'soon' is not a duration; write for example 90s or 1h30m",
    ),
    "infinite duration": (
        HEAD + "tasks: {a: {component: b, timeout: .inf}}\ncomponents: {b: {}}\n",
        "5:36  E0101  tasks.a.timeout: inf is not a duration; it must be at least 0",
    ),
    "NaN CPUs": (
        HEAD + "components: {a: {cpus: .nan}}\n",
        "5:24  E0101  components.a.cpus: nan is not a number of CPUs; it must be at least 0",
    ),
    "truth as number": (
        HEAD + "components: {a: {gpus: true}}\n",
        "5:24  E0101  components.a.gpus: wanted a whole number, got true",
    ),
    "leading zero": (
        HEAD + "components: {a: {gpus: 010}}\n",
        (
            "5:24  E0101  components.a.gpus: wanted a whole number, got '010'; "
            "write it without leading zeros and '_'"
        ),
    ),
    "fraction": (
        HEAD + "components: {a: {gpus: 1.5}}\n",
        "5:24  E0101  components.a.gpus: wanted a whole number, got the number 1.5",
    ),
    "quoted number": (
        HEAD + "components: {a: {gpus: '1'}}\n",
        "5:24  E0101  components.a.gpus: wanted a whole number, got '1'; remove the quotes",
    ),
    "no as truth": (
        HEAD + "tasks: {a: {component: b, cache: no}}\ncomponents: {b: {}}\n",
        (
            "5:34  E0101  tasks.a.cache: wanted true or false, got 'no'; "
            "write true or false, without quotes"
        ),
    ),
    "on as truth": (
        HEAD + "project2: on\n",
        "5:1  E0102  project2: unknown key; did you mean 'project'?",
    ),
    "choice": (
        HEAD + "components: {a: {runtime: dokcer}}\n",
        (
            "5:27  E0101  components.a.runtime: wanted one of docker, podman, apptainer, got 'dokcer'; "
            "did you mean 'docker'?"
        ),
    ),
    "text as list": (
        HEAD + "components: {a: {tags: big}}\n",
        "5:24  E0101  components.a.tags: wanted a list, got 'big'; put it in [ ]",
    ),
    "list as mapping": (
        HEAD + "components: {a: {env: [A]}}\n",
        "5:23  E0101  components.a.env: wanted a mapping, got a list",
    ),
    "item of a list": (
        HEAD + "components: {a: {tags: [b, 3]}}\n",
        "5:28  E0101  components.a.tags.1: wanted text, got the number 3; put it in quotes",
    ),
    "number in env": (
        HEAD + "components: {a: {env: {N: 4}}}\n",
        "5:27  E0101  components.a.env.N: wanted text, got the number 4; put it in quotes",
    ),
    "truth in env": (
        HEAD + "components: {a: {env: {N: true}}}\n",
        "5:27  E0101  components.a.env.N: wanted text, got true; put it in quotes",
    ),
    "name in env": (
        HEAD + "components: {a: {env: {A=B: c}}}\n",
        (
            "5:24  E0106  components.a.env.A=B: 'A=B' cannot be the name of an environment variable; "
            "leave out the '='"
        ),
    ),
    "component is a text": (
        HEAD + "components: {a: 16G}\n",
        "5:17  E0101  components.a: wanted a mapping, got '16G'",
    ),
    "components are a list": (
        HEAD + "components: [a]\n",
        "5:13  E0101  components: wanted a mapping; write `name: value` lines under it",
    ),
    "component name": (
        HEAD + "components: {-a: {}}\n",
        (
            "5:14  E0106  components.-a: '-a' cannot be a name; "
            "use letters, digits, '.', '_' and '-', and begin with a letter or digit"
        ),
    ),
    "task name": (
        HEAD + "tasks: {a b: {component: c}}\ncomponents: {c: {}}\n",
        (
            "5:9  E0106  tasks.a b: 'a b' cannot be a name; "
            "use letters, digits, '.', '_' and '-', and begin with a letter or digit"
        ),
    ),
    "target name": (
        HEAD + "  a/b: {provider: local}\n",
        (
            "5:3  E0106  targets.a/b: 'a/b' cannot be a name; "
            "use letters, digits, '.', '_' and '-', and begin with a letter or digit"
        ),
    ),
    "unknown component": (
        HEAD + "tasks: {a: {component: modle}}\ncomponents: {model: {}}\n",
        "5:24  E0201  tasks.a.component: component 'modle' is not defined; did you mean 'model'?",
    ),
    "unlike component": (
        HEAD + "tasks: {a: {component: zzz}}\ncomponents: {model: {}, post: {}}\n",
        "5:24  E0201  tasks.a.component: component 'zzz' is not defined; defined: model, post",
    ),
    "no component at all": (
        HEAD + "tasks: {a: {component: zzz}}\n",
        "5:24  E0201  tasks.a.component: component 'zzz' is not defined; define it under components",
    ),
    "task without component": (
        HEAD + "tasks:\n  a:\n",
        "6:3  E0103  tasks.a: 'component' is missing; add component",
    ),
    "adaptive": (
        HEAD.replace("local}", "local, adaptive: {minimum: 5, maximum: 2}}"),
        (
            "4:48  E0207  targets.local.adaptive.minimum: the minimum, 5, is above the maximum, 2; "
            "raise the maximum or lower the minimum"
        ),
    ),
    "adaptive without maximum": (
        HEAD.replace("local}", "local, adaptive: {minimum: 5}}"),
        "4:28  E0103  targets.local.adaptive: 'maximum' is missing; add maximum",
    ),
    "targets are a list": (
        "version: 1\nproject: {name: a}\ntargets: [local]\n",
        "3:10  E0101  targets: wanted a mapping; write `name: value` lines under it",
    ),
    "merge of a text": (
        HEAD + "components: {a: {<<: x}}\n",
        "5:22  E0101  '<<' takes a mapping; write <<: *name of an &anchor",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_said_at_its_place(name: str, problems: Problems) -> None:
    """One error: line, column, code, path, sentence and cure."""
    text, sentence = MISTAKES[name]

    (found,) = problems(text)

    assert str(found).rpartition("scalable.yaml:")[2] == sentence
    assert found.severity == "error"


def test_all_problems_of_a_file_are_said_at_once_in_its_order(problems: Problems) -> None:
    """Reader, outline, types, references and variables all contribute to one list, sorted by place."""
    text = (
        "version: 3\n"
        "project: {nam: study}\n"
        "targets:\n"
        "  local: {provider: local, max_workers: 0}\n"
        "components:\n"
        "  model: {cpus: none, memory: 4X, image: '${IMAGE}'}\n"
        "tasks:\n"
        "  step: {component: modle, retries: -2}\n"
        "  step: {component: model}\n"
        "extra: 1\n"
    )

    found = problems(text)

    assert sorted(found, key=lambda p: (p.line, p.column)) == list(found)
    assert [p.code for p in found] == [
        "E0105",
        "E0103",
        "E0102",
        "E0104",
        "E0101",
        "E0101",
        "E0107",
        "E0006",
        "E0102",
    ]


def test_error_reads_as_its_problems(read: Read) -> None:
    """The exception counts them and prints one line for each; its exit code is 2."""
    with pytest.raises(ManifestError) as caught:
        read(HEAD + "components: {a: {memry: 1G}}\n")

    assert caught.value.exit_code == 2
    first, second = str(caught.value).splitlines()
    assert first.endswith("scalable.yaml has 1 error")
    assert second.endswith(
        "scalable.yaml:5:18  E0102  components.a.memry: unknown key; did you mean 'memory'?"
    )


def test_seed_manifest_is_read_as_written(read: Read) -> None:
    """Sizes, CPUs, numbers and defaults arrive typed."""
    manifest = read(
        HEAD
        + "components: {analysis: {cpus: 4, memory: 16G, gpus: 0x2}, other: , half: {cpus: 500m}}\n"
        + "tasks: {run: {component: analysis, timeout: 1h30m, expect: {count: 500, output: 20M}}}\n"
    )

    analysis = manifest.components["analysis"]
    assert (analysis.cpus, analysis.memory, analysis.gpus) == (4.0, 16 * 2**30, 2)
    assert analysis.name == "analysis"
    assert manifest.components["half"].cpus == 0.5
    assert manifest.components["other"].cpus is None
    task = manifest.tasks["run"]
    assert (task.timeout, task.retries, task.name) == (5400.0, 0, "run")
    assert task.expect is not None
    assert (task.expect.count, task.expect.output) == (500, 20 * 2**20)
    assert isinstance(analysis.cpus, float)


@pytest.mark.parametrize("section", ["components", "tasks", "overlays"])
def test_section_with_nothing_under_it_is_empty(section: str, read: Read) -> None:
    """A heading whose entries are all commented out is no error."""
    assert read(HEAD + f"{section}:\n  # later\n").components == {}


def test_words_that_yaml_1_1_took_for_truth_are_texts(read: Read) -> None:
    """`no`, `on`, dates, `010`, `1_000` and `12:30` are what they look like."""
    words = ["no", "on", "yes", "off", "2024-01-01", "010", "1_000", "12:30"]
    manifest = read(HEAD + f"components: {{a: {{tags: [{', '.join(words)}]}}}}\n")

    assert tuple(words) == manifest.components["a"].tags


def test_aliases_and_merge_keys_repeat_what_an_anchor_holds(read: Read) -> None:
    """`<<: *base` brings the keys of the base, save those that are set."""
    manifest = read(
        HEAD
        + "components:\n  a: &base {cpus: 2, memory: 4G, tags: &tags [x]}\n"
        + "  b: {<<: *base, memory: 8G}\n  c: {tags: *tags}\n"
    )

    b = manifest.components["b"]
    assert (b.cpus, b.memory, b.tags) == (2.0, 8 * 2**30, ("x",))
    assert manifest.components["c"].tags == ("x",)


def test_problem_in_merged_keys_points_to_where_they_are_written(problems: Problems) -> None:
    """A bad value that came in with `<<` is placed at the anchor."""
    found = problems(HEAD + "components:\n  a: &base\n    cpus: few\n  b: {<<: *base}\n")

    assert {("components.a.cpus", 7, 11), ("components.b.cpus", 7, 11)} == {
        (p.where, p.line, p.column) for p in found
    }


def test_missing_preload_script_is_a_warning(problems: Problems, path: Any) -> None:
    """A script that is not beside the manifest is warned of, one that is there is not."""
    (path.parent / "there.py").touch()

    (found,) = problems(
        HEAD + "components: {a: {preload_script: there.py}, b: {preload_script: gone.py}}\n"
    )

    assert (
        found.code,
        found.severity,
        found.where,
    ) == ("W0210", "warning", "components.b.preload_script")
    assert found.line == 5


def test_thousands_of_components_and_mistakes_are_all_told(problems: Problems) -> None:
    """2,000 components with a mistake each give 2,000 problems."""
    lines = "".join(f"  c{i}: {{memry: 1G}}\n" for i in range(2000))

    found = problems(HEAD + "components:\n" + lines)

    assert len(found) == 2000
    assert [(6 + i, 3 + len(f"c{i}: {{")) for i in range(2000)] == [
        (p.line, p.column) for p in found
    ]


def test_name_too_long_for_a_file_is_no_traceback(problems: Problems) -> None:
    """What the system refuses to look for is not there either."""
    (found,) = problems(HEAD + f"components: {{a: {{preload_script: {'x' * 5000}}}}}\n")

    assert found.code == "W0210"
