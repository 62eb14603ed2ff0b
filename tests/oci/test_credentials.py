"""Credentials are found where Podman and Docker leave them, in their order, and broken ones are told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scalable_core.oci import parse_reference
from scalable_core.oci.credentials import credential_files, find_credentials


@pytest.fixture
def find():
    """Look for the credentials of an image; returns them and the notes."""

    def look(reference: str = "registry.example.org/team/model", *, timeout: float = 60):
        notes: list[str] = []
        return find_credentials(parse_reference(reference), notes, timeout=timeout), notes

    return look


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install a credential helper, a program of its own, and tell Docker's configuration to use it."""

    def install(body: str, config: dict[str, object]) -> None:
        program = tmp_path / "bin" / "docker-credential-test"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\nimport json, sys, time\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        _write(tmp_path / "home/.docker/config.json", config)

    return install


def _write(path: Path, config: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))


ANSWER = """
assert sys.argv[1:] == ["get"]
print(json.dumps({"ServerURL": "x", "Username": "helped", "Secret": sys.stdin.read()}))
"""


def test_files_are_asked_in_the_order_of_podman(find, login, tmp_path):
    """Podman's runtime file, Podman's configuration, Docker's configuration: the first that knows it wins."""
    places = [
        tmp_path / "home/.docker/config.json",
        tmp_path / "home/.config/containers/auth.json",
        tmp_path / "runtime/containers/auth.json",
    ]
    for place in places:
        login("registry.example.org", user=f"from {place.name}", path=place)
        found, notes = find()
        assert (found.username, found.source) == (f"from {place.name}", str(place))
        assert notes == []


def test_places_can_be_moved_by_environment(login, find, tmp_path, monkeypatch):
    """REGISTRY_AUTH_FILE and DOCKER_CONFIG are honoured."""
    login("registry.example.org", user="docker", path=tmp_path / "elsewhere/config.json")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    assert find()[0].username == "docker"
    path = login("registry.example.org", user="podman", path=tmp_path / "my-auth.json")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    assert find()[0].username == "podman"


def test_without_a_runtime_folder_podmans_own_place_is_asked(monkeypatch):
    """Where there is no XDG_RUNTIME_DIR, Podman writes to /run/containers."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert credential_files()[0] == Path(f"/run/containers/{os.getuid()}/auth.json")


@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "https://registry-1.docker.io",
        "docker.io/library/python",
        "docker.io/library",
    ],
)
def test_docker_hub_has_many_names(find, login, key):
    """All names under which tools keep the login of Docker Hub are known."""
    login(key)
    assert find("python:3.12")[0].username == "ada"


def test_most_particular_entry_wins(find, login, tmp_path):
    """Podman keeps logins for a part of a registry; a neighbour's is not used."""
    config = json.loads(login("registry.example.org", user="all").read_text())
    path = login("registry.example.org/team", user="team")
    config["auths"] |= json.loads(path.read_text())["auths"]
    _write(path, config)
    assert find("registry.example.org/team/model")[0].username == "team"
    assert find("registry.example.org/teams/model")[0].username == "all"


def test_login_for_another_registry_is_not_used(find, login):
    """Names that only look alike, or have another port, do not count."""
    login("example.org", "registry.example.org.evil.net", "registry.example.org:5000")
    assert find() == (None, [])


def test_password_is_not_shown(find, login):
    """Credentials can be logged by mistake without harm."""
    login("registry.example.org")
    found, _ = find()
    assert found.password == "s3cret"
    assert "s3cret" not in repr(found)


def test_password_may_hold_colons(find, login):
    """Only the first colon parts user and password."""
    login("registry.example.org", password="a:b:c")
    assert find()[0].password == "a:b:c"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"auths": [1]}',
        '{"auths": "x"}',
        '{"auths": {"registry.example.org": "x"}}',
        '{"auths": {"registry.example.org": {"auth": "%%%"}}}',
        '{"auths": {"registry.example.org": {"auth": 7}}}',
        '{"credHelpers": 7}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_broken_file_is_told_and_the_next_one_asked(find, login, tmp_path, text):
    """A file that cannot be read stops nothing; it is named in case the registry then refuses."""
    login("registry.example.org")
    broken = tmp_path / "runtime/containers/auth.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(text)
    found, notes = find()
    assert found.username == "ada"
    assert [note.startswith(f"{broken} cannot be read") for note in notes] == [True]


@pytest.mark.parametrize(
    "setting", [{"credsStore": "test"}, {"credHelpers": {"registry.example.org": "test"}}]
)
def test_helper_program_is_asked(find, helper, setting):
    """A helper gets the registry on its standard input and answers with JSON."""
    helper(ANSWER, setting)
    found, notes = find()
    assert (found.username, found.password) == ("helped", "registry.example.org")
    assert found.source == "docker-credential-test"
    assert notes == []


def test_helper_of_docker_hub_is_asked_by_its_old_name(find, helper):
    """Docker stores the login of its own registry under an address of version 1."""
    helper(ANSWER, {"credsStore": "test"})
    assert find("python")[0].password == "https://index.docker.io/v1/"


def test_helper_may_answer_with_an_identity_token(find, helper):
    """The user <token> means that the secret is a token."""
    helper('print(json.dumps({"Username": "<token>", "Secret": "abc"}))', {"credsStore": "test"})
    found, _ = find()
    assert (found.username, found.identity_token) == ("", "abc")


def test_helper_that_knows_nothing_is_no_fault(find, helper):
    """Not found is how most helpers say that nobody logged in."""
    helper("print('credentials not found in native keychain'); sys.exit(1)", {"credsStore": "test"})
    assert find() == (None, [])


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("sys.exit(3)", "docker-credential-test failed with exit code 3"),
        ("print('hello')", "docker-credential-test gave no credentials"),
        ("print('[]')", "docker-credential-test gave no credentials"),
        ("print('{}')", "docker-credential-test gave no credentials"),
    ],
)
def test_failing_helper_is_told(find, helper, body, note):
    """What a helper does wrong is said in one sentence, without what it printed."""
    helper(body, {"credsStore": "test"})
    found, notes = find()
    assert found is None
    assert note in notes[0]


def test_hanging_helper_is_stopped(find, helper):
    """A helper that waits for a keyring to be opened does not hold up the run for ever."""
    helper("time.sleep(600)", {"credsStore": "test"})
    found, notes = find(timeout=0.2)
    assert found is None
    assert "docker-credential-test did not answer" in notes[0]


def test_missing_helper_is_told(find, helper):
    """A helper that is configured but not installed is named."""
    helper(ANSWER, {"credsStore": "no-such-helper"})
    assert find() == (None, ["docker-credential-no-such-helper is not on the PATH"])


def test_helper_is_looked_for_on_the_path_only(find, helper, tmp_path, monkeypatch):
    """The name of a helper is a name: a program in the folder where one happens to be is not run."""
    helper(ANSWER, {"credsStore": "here/test"})
    (tmp_path / "docker-credential-here").mkdir()
    (tmp_path / "bin/docker-credential-test").rename(tmp_path / "docker-credential-here/test")
    monkeypatch.chdir(tmp_path)
    assert find() == (None, ["docker-credential-here/test is not on the PATH"])


def test_login_by_podman_is_understood(find, tmp_path, secured, keys):
    """The file that a real `podman login` writes gives the user and the password."""
    podman = shutil.which("podman")
    if podman is None:
        pytest.skip("podman is not installed")
    path = tmp_path / "runtime/containers/auth.json"
    path.parent.mkdir(parents=True)
    subprocess.run(
        [podman, "login", "--authfile", path, "--cert-dir", _cert_dir(tmp_path, keys), "-u", "ada",
         "--password-stdin", secured.address],
        input=b"s3cret", check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    found, notes = find(f"{secured.address}/basic/model")
    assert (found.username, found.password, notes) == ("ada", "s3cret", [])


def _cert_dir(tmp_path: Path, keys: Path) -> Path:
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(keys / "tls.crt", folder / "ca.crt")
    return folder
