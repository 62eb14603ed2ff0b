"""``scalable schema``: the JSON Schema of the manifest."""

from __future__ import annotations

import json

import click

from scalable_core.cli.options import common_options, writing


@click.command
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout.")
@common_options
def command(output: str | None, quiet: bool, verbose: int, debug: bool) -> int:
    """Write the JSON Schema of the manifest, with the options of every installed provider.

    Editors that know YAML complete and check a manifest with it; the first line of the manifest says so:

    \b
    # yaml-language-server: $schema=./scalable.schema.json
    """
    from scalable_core.cli.host import make_host
    from scalable_core.cli.terminal import say, show
    from scalable_core.errors import ProviderError
    from scalable_core.manifest import manifest_schema

    host = make_host(quiet=quiet, verbose=verbose, offline=True)
    options = {}
    for name in host.provider_names():
        try:
            options[name] = host.target_options(name)
        except ProviderError as error:
            say(f"! left out: {error}")
    text = json.dumps(manifest_schema(options), indent=2)
    if output is None:
        show(text)
        return 0
    with writing(output) as path:
        path.write_text(text + "\n", encoding="utf-8")
    if not quiet:
        say(f"Wrote {output} for {len(options)} providers: {', '.join(options)}")
    return 0
