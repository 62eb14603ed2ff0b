"""A command."""

import click


@click.command
def tail():
    """Show the end of things."""
    click.echo("the end")
