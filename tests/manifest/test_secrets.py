"""Secrets: what came from a variable under `env`, and options declared secret, are never written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

from scalable_core.types import Manifest, Problem, Secret, to_data

Problems = Callable[..., tuple[Problem, ...]]
Read = Callable[..., Manifest]
Cloud = Callable[[str], str]

LINES = """\
region: here
token: plain-token
image: repo/${IMAGE}
volume: {path: /a, key: plain-key}
volumes: [{path: /b, key: 'x-${KEY}'}]
environment: {A: 'Bearer ${TOKEN}', B: open, C: '${KEY:-none}'}
extra: {env: {DEEP: ['${TOKEN}']}}
"""
COMPONENTS = "components: {env: {image: 'i/${IMAGE}', env: {T: '${TOKEN}', U: plain}}}\n"
ENVIRON = {"TOKEN": "s3cret-token", "KEY": "s3cret-key", "IMAGE": "model-1"}
SECRETS = ("s3cret-token", "s3cret-key", "plain-token", "plain-key")


def test_no_secret_is_in_what_may_be_written(read: Read, cloud: Cloud) -> None:
    """Neither the document, nor the record as data, nor its representation shows one."""
    manifest = read(cloud(LINES) + COMPONENTS, environ=ENVIRON)
    written = [
        json.dumps(to_data(manifest.document)),
        json.dumps(to_data(manifest)),
        repr(manifest),
        str(manifest),
    ]

    assert [secret for text in written for secret in SECRETS if secret in text] == []


def test_secrets_show_how_they_were_written(read: Read, cloud: Cloud) -> None:
    """A variable's name is kept, a secret in plain text is `***`, and what is no secret is there."""
    document = read(cloud(LINES) + COMPONENTS, environ=ENVIRON).document

    far = document["targets"]["far"]
    assert far["environment"] == {"A": "Bearer ${TOKEN}", "B": "open", "C": "${KEY:-none}"}
    assert (far["token"], far["volume"]["key"], far["volumes"][0]["key"]) == (
        "***",
        "***",
        "x-${KEY}",
    )
    assert far["extra"] == {"env": {"DEEP": ["${TOKEN}"]}}
    assert far["image"] == "repo/model-1"
    assert document["components"]["env"] == {
        "image": "i/model-1",
        "env": {"T": "${TOKEN}", "U": "plain"},
    }


def test_secrets_can_be_revealed_where_they_are_used(read: Read, cloud: Cloud) -> None:
    """The records hold the values themselves."""
    manifest = read(cloud(LINES) + COMPONENTS, environ=ENVIRON)

    assert manifest.target is not None
    options = manifest.target.options
    assert options.token == Secret("plain-token")
    assert options.environment["A"] == Secret("Bearer s3cret-token", template="Bearer ${TOKEN}")
    assert options.environment["B"] == "open"
    assert options.volumes[0].key.reveal() == "x-s3cret-key"
    assert options.volume.key.reveal() == "plain-key"
    assert options.extra["env"]["DEEP"][0].reveal() == "s3cret-token"
    env = manifest.components["env"].env
    assert env == {"T": Secret("s3cret-token", template="${TOKEN}"), "U": "plain"}
    assert manifest.components["env"].image == "i/model-1"


def test_target_of_an_unknown_provider_is_not_written(read: Read) -> None:
    """Nobody knows which of its options are secret, so the document leaves it out."""
    text = (
        "version: 1\nproject: {name: a}\ntargets:\n  x: {provider: unknown, token: plain-token}\n"
    )

    manifest = read(text, target=None)

    assert manifest.document["targets"] == {}
    assert manifest.providers == {"x": "unknown"}


def test_problem_of_a_secret_does_not_tell_it(problems: Problems, cloud: Cloud) -> None:
    """A secret of the wrong kind, and one where none belongs, stay untold."""
    lines = "region: here\ntoken: 12345\nenvironment: {A: {B: '${TOKEN}'}}\n"
    found = problems(cloud(lines), environ=ENVIRON)

    assert [p.where for p in found] == ["targets.far.token", "targets.far.environment.A"]
    assert "12345" not in str(found[0])
    assert "s3cret" not in "".join(map(str, found))


def test_manifest_with_secrets_survives_pickling(read: Read, cloud: Cloud) -> None:
    """Records cross processes."""
    manifest = read(cloud(LINES) + COMPONENTS, environ=ENVIRON)

    assert pickle.loads(pickle.dumps(manifest)) == manifest
