"""The hook specifications are a document: complete, true, and the page made from it says the same."""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy
import pytest

from scalable_core import hookspecs
from scalable_core.plugins import PluginHost
from scalable_core.plugins.answers import check_answer
from scalable_core.plugins.discovery import Entry
from scalable_core.plugins.loading import Plugin
from scalable_core.types import (
    Artifact,
    ArtifactRef,
    BundleRef,
    ClusterRecord,
    ImageRequest,
    Resource,
    RunRecord,
    Settings,
    Target,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hooks.md"


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks."""
    pm = pluggy.PluginManager("scalable")
    pm.add_hookspecs(hookspecs)
    return pm


HOOKS = sorted(name for name in vars(manager().hook) if not name.startswith("_"))


def arguments(name: str) -> tuple[str, ...]:
    """The names of a hook's arguments."""
    return getattr(manager().hook, name).spec.argnames


def doc(name: str) -> str:
    """The docstring of a hook."""
    return inspect.cleandoc(getattr(hookspecs, name).__doc__)


def example(name: str) -> str:
    """The code of the example in a hook's docstring."""
    _, _, code = doc(name).partition(".. code-block:: python\n")
    assert code, name
    return textwrap.dedent(code)


@pytest.fixture
def nouns(plan_for: Callable[..., Any], context: Any, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What each hook is called with."""
    options = types.SimpleNamespace(n_workers=200)
    plan = plan_for("acme")
    ref = ArtifactRef(
        uri="acme://a", digest="", size=4, media_type="", run="r", created="", provider="acme"
    )
    cluster = ClusterRecord(
        provider="acme",
        run="r",
        project="p",
        target="t",
        created="",
        resources=(Resource(kind="acme:job", id="1"),),
    )
    run = RunRecord(
        run="run-1", project="p", target="t", provider="acme", status="done", started="", lock=""
    )
    return {
        "configure": {"settings": Settings(offline=True)},
        "target_options": {},
        "check_target": {
            "target": Target(name="t", provider="acme", options=options),
            "context": context,
        },
        "resolve_image": {"request": ImageRequest(reference="python:3.12"), "context": context},
        "service_profile": {"target": Target(name="t", provider="acme", options=options)},
        "estimate_cost": {"plan": plan, "context": context},
        "variants": {"plan": plan, "context": context},
        "price_snapshot": {"refresh": False, "context": context},
        "preflight": {"plan": plan, "context": context},
        "provision_cluster": {"plan": plan, "context": context},
        "start_driver": {
            "plan": plan,
            "bundle": BundleRef(
                place="p", key="k", digest="d", size=0, files=0, command=("-c", "pass")
            ),
            "context": context,
        },
        "release_cluster": {"record": cluster, "context": context},
        "required_permissions": {"plan": plan},
        "find_resources": {
            "target": Target(name="t", provider="acme", options=options),
            "run": None,
            "context": context,
        },
        "read_logs": {"record": cluster, "member": None, "follow": False, "context": context},
        "store_artifact": {
            "artifact": Artifact(name="a", data=b"data", run="r"),
            "destination": "acme://a",
            "context": context,
        },
        "fetch_artifact": {"ref": ref, "destination": tmp_path / "a", "context": context},
        "open_storage": {"uri": "acme://shelf", "context": context},
        "run_recorded": {"record": run, "context": context},
    }


@pytest.mark.parametrize("name", HOOKS)
def test_the_example_of_a_hook_is_a_plugin_that_works(
    name: str, nouns: dict[str, dict[str, Any]]
) -> None:
    """It registers as a module, is called with real nouns, and its answer is one that the core takes."""
    pm = manager()
    module = types.ModuleType("acme_example")
    exec(compile(example(name), f"<example of {name}>", "exec"), vars(module))
    pm.register(module, "acme")
    pm.check_pending()
    assert [caller.name for caller in pm.get_hookcallers(module) or ()] == [name]

    if name == "configure":
        pm.hook.configure.call_historic(kwargs=nouns[name])
        assert module.OFFLINE is True
        return
    answer = getattr(pm.hook, name)(**nouns[name])
    if name == "run_recorded":
        return
    entry = Entry(kind="provider", name="acme", dist="acme", version="1")
    check_answer(name, answer, Plugin(name="acme", entry=entry, module=module), "acme")
    if name == "provision_cluster":
        answer.close()


@pytest.mark.parametrize("name", HOOKS)
def test_a_docstring_says_everything(name: str) -> None:
    """When, every argument, the answer, whether it is called again, what wrappers see, an example."""
    text = doc(name)
    signature = inspect.signature(getattr(hookspecs, name))

    assert text.startswith("Called ")
    for argument in arguments(name):
        assert re.search(rf"^    {argument}: \S", text, re.MULTILINE), argument
    assert ("Returns:" in text) == (signature.return_annotation != "None")
    for section in ("Called again:", "Wrappers:", "Example:"):
        assert f"\n{section}\n" in text


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_has_no_default_values(name: str) -> None:
    """pluggy does not hand them on."""
    parameters = inspect.signature(getattr(hookspecs, name)).parameters.values()

    assert all(parameter.default is parameter.empty for parameter in parameters)


@pytest.mark.parametrize("name", HOOKS)
def test_the_page_has_every_hook_as_it_is(name: str) -> None:
    """A heading, the call with its arguments, the first sentence, and the example to the letter."""
    page = PAGE.read_text(encoding="utf-8")

    assert f"\n### {name}\n\n`{name}({', '.join(arguments(name))})` " in page
    assert doc(name).partition("\n")[0].replace("``", "`") in page
    assert f"```python\n{example(name).strip()}\n```" in page


def test_the_page_has_the_hooks_in_the_order_of_a_run() -> None:
    """As they are written, and no hook that does not exist."""
    page = PAGE.read_text(encoding="utf-8")
    written = re.findall(r"^def (\w+)\(", inspect.getsource(hookspecs), re.MULTILINE)

    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == written
    assert sorted(written) == HOOKS


@pytest.mark.parametrize("name", [name for name in HOOKS if name != "configure"])
def test_the_host_has_a_method_for_every_hook(name: str) -> None:
    """Nothing else of the core needs to touch pluggy."""
    assert callable(getattr(PluginHost, name))
