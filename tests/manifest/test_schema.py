"""The JSON Schema says of a file what the reading says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scalable_core.errors import ManifestError
from scalable_core.manifest import manifest_schema
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.read import read_document
from scalable_core.manifest.tree import plain
from scalable_core.types import Manifest

Read = Callable[..., Manifest]

HEAD = "version: 1\nproject: {name: study}\n"
GOOD = [
    "targets: {local: {provider: local}}",
    "targets: {local: {provider: local, max_workers: 4, processes: false, containers: none}}",
    "targets: {local: {provider: local, max_workers: '${N:-3}', overlay: big}}\noverlays: {big: }",
    "targets: {far: {provider: cloud, region: here, worker_cpu: 4096, worker_mem: 16G, idle: 90}}",
    "targets: {far: {provider: cloud, cluster_type: fargate, region: here, volumes: [{path: a}]}}",
    "targets: {far: {provider: cloud, cluster_type: ec2, region: here, instance_type: m}}",
    "targets: {far: {provider: cloud, overlay: [one]}}\n"
    "overlays: {one: {targets: {far: {region: here}}, components: {a: {cpus: 1}}}}",
    "targets: {x: {provider: unknown, anything: [1]}, local: {provider: local}}",
    "targets: {local: {provider: local}}\ncomponents: {a: {cpus: 500m, memory: 16G, env: {A: b}}, b: }\n"
    "tasks: {t: {component: a, timeout: 90, expect: {count: 3}}}\noverlays: {o: {tasks: {t: {retries: 1}}}}",
]
BAD = [
    "targets: {}",
    "targets: {local: {}}",
    "targets: {local: {provider: local, max_worker: 1}}",
    "targets: {local: {provider: local, max_workers: 0}}",
    "targets: {local: {provider: local, max_workers: many}}",
    "targets: {local: {provider: local, containers: rkt}}",
    "targets: {local: {provider: local, cluster_type: a}}",
    "targets: {local: {provider: local, adaptive: {minimum: 1}}}",
    "targets: {far: {provider: cloud}}",
    "targets: {far: {provider: cloud, region: here, cluster_type: ec3}}",
    "targets: {far: {provider: cloud, region: here, cluster_type: ec2}}",
    "targets: {far: {provider: cloud, region: here, instance_type: m}}",
    "targets: {far: {provider: cloud, region: here, arn: a}}",
    "targets: {far: {provider: cloud, region: here, volumes: [{size: 1G}]}}",
    "targets: {local: {provider: local}}\ncomponents: {a: {memry: 1G}}",
    "targets: {local: {provider: local}}\ncomponents: {a: {memory: 16}}",
    "targets: {local: {provider: local}}\ncomponents: {a: {name: b}}",
    "targets: {local: {provider: local}}\ncomponents: {-a: {}}",
    "targets: {local: {provider: local}}\ntasks: {t: {retries: 1}}",
    "targets: {local: {provider: local}}\noverlays: {o: {version: 1}}",
    "targets: {local: {provider: local}}\nextra: 1",
]


@pytest.fixture
def validator(options: dict[str, Any]) -> Draft202012Validator:
    """The schema of the tests' providers, itself checked."""
    schema = manifest_schema(options)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def data_of(text: str, path: Path) -> Any:
    """A manifest as an editor's YAML parser sees it."""
    path.write_text(text)
    return plain(read_document(path, Findings("scalable.yaml")))


@pytest.mark.parametrize("text", GOOD)
def test_good_manifest_fits_the_schema(
    text: str, validator: Draft202012Validator, path: Path, read: Read
) -> None:
    """What can be read fits."""
    read(HEAD + text, target=None)

    assert [error.message for error in validator.iter_errors(data_of(HEAD + text, path))] == []


@pytest.mark.parametrize("text", BAD)
def test_bad_manifest_does_not_fit_the_schema(
    text: str, validator: Draft202012Validator, path: Path, read: Read
) -> None:
    """What cannot be read does not fit."""
    with pytest.raises(ManifestError):
        read(HEAD + text, target=None)

    assert not validator.is_valid(data_of(HEAD + text, path))


def test_every_option_is_described(options: dict[str, Any]) -> None:
    """Each property of each provider has its help and, where it is plain, its default."""
    rules = {
        rule["if"]["properties"]["provider"]["const"]: rule["then"]
        for rule in manifest_schema(options)["properties"]["targets"]["additionalProperties"][
            "allOf"
        ]
    }
    local = rules["local"]

    assert local["properties"]["max_workers"]["description"] == "Most workers."
    assert local["properties"]["max_workers"]["default"] == 1
    described = [name for name, value in local["properties"].items() if value.get("description")]
    assert described == [
        "provider",
        "overlay",
        "max_workers",
        "processes",
        "containers",
        "adaptive",
    ]


def test_schema_names_its_draft() -> None:
    """Draft 2020-12."""
    assert manifest_schema({})["$schema"] == "https://json-schema.org/draft/2020-12/schema"
