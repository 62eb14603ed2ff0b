"""Write ``reference/conformance.md`` from the conformance kit; ``--check`` only compares.

python docs/generate_conformance.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from scalable_core.testing.conformance import (
    ArtifactConformance,
    ClusterConformance,
    Conformance,
    OfflineConformance,
    ProviderConformance,
)
from scalable_core.testing.conformance.base import aspect_of, checks_of

PAGE = Path(__file__).parent / "reference" / "conformance.md"

HEAD = """\
<!-- Written by docs/generate_conformance.py from scalable_core/testing/conformance; change that. -->

# The conformance kit

{count} checks that hold for every provider, `local`, `aws`, `gcp` and `kubernetes` among them.
A provider's tests inherit them. The kit comes with `scalable-core[testing]`.

```text
from scalable_core.testing.conformance import OfflineConformance

class TestAcme(OfflineConformance):
    provider = "acme"
    target = {{"site": "north"}}
```

```console
$ scalable plugins check kubernetes
...
ASPECT     PASSED  NOT RUN
loading ...
...
kubernetes (scalable-kubernetes ...): ... passed; ...
...
```

`scalable plugins check NAME` runs them without pytest: all that create nothing, and clusters too where the
provider's own estimate says that they are free, or with `--spend`. The score is of those that were run;
`scalable plugins list` remembers it for each version. The target that is tried is `EXAMPLE_TARGET` of the
plugin's module, or the least that the types of the options allow.

## Classes

{classes}

## What a class may say

`provider`
: The provider's name.

`target`
: Options of a target that the provider accepts, besides `provider`.

`component`
: The machine of one worker, as a manifest writes it.

`artifact_place`
: The URI under which artifacts may be stored. Without it a folder of the test, for a provider of `file://`.

`image`
: An image that `resolve_image` can find.

`patience`
: Seconds for which workers are waited for.

`import_seconds`
: CPU seconds that importing the plugin may take: 3 in tests, which share their machine, 0.3 for
  `plugins check`.

`steps`, `kills`
: `module:function` that counts more than the events of a run as steps at which the driver may be killed, and
  how many drivers are killed. The function gets `step`, and sees to it that it is called before each thing
  that is created.

`lose_worker(client, address)`
: Takes a worker away as the service might. Its process is killed when a class says nothing else.

`leftovers(run)`
: What is still there of a run that has ended, by `find_resources` when a class says nothing else.

Fixtures of pytest set what is only known when the tests run, in the scope of the class:

```text
class TestAcmeClusters(ClusterConformance):
    provider = "acme"

    @pytest.fixture(autouse=True, scope="class")
    def service(self, request, acme_server):
        request.cls.target = {{"endpoint": acme_server.url}}
```

## A check that cannot hold

It is overridden, and marked as expected to fail, with the reason. Anything else, such as an override that
passes, a `skip`, or a mark without a reason, fails the check that no check is left out:

```text
    @pytest.mark.xfail(reason="sites have no network of their own")
    def test_two_clusters_at_once_keep_apart(self):
        super().test_two_clusters_at_once_keep_apart()
```

## The checks
"""


def render() -> str:
    """Return the page."""
    classes = [OfflineConformance, ArtifactConformance, ClusterConformance, ProviderConformance]
    told = "\n\n".join(f"`{cls.__name__}`\n: {_line(cls)}" for cls in classes)
    names = checks_of(ProviderConformance)
    parts = [HEAD.format(count=len(names), classes=told).rstrip()]
    aspects = dict.fromkeys(_aspect(name) for name in names)
    for aspect in sorted(aspects, key=lambda each: (each == "base", list(aspects).index(each))):
        rows = [
            f"{name.removeprefix('test_').replace('_', ' ')}\n: {_line(getattr(ProviderConformance, name))}"
            for name in names
            if _aspect(name) == aspect
        ]
        title = "The kit itself" if aspect == "base" else aspect.capitalize()
        parts += [f"### {title}", *rows]
    return "\n\n".join(parts) + "\n"


def _aspect(name: str) -> str:
    return aspect_of(ProviderConformance, name)


def _line(thing: type[Conformance] | object) -> str:
    return " ".join((thing.__doc__ or "").split())


def main() -> None:
    """Write the page, or say whether it is as it would be written."""
    if "--check" not in sys.argv:
        PAGE.write_text(render(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != render():
        sys.exit(f"{PAGE} is not up to date; run: python docs/generate_conformance.py")


if __name__ == "__main__":
    main()
