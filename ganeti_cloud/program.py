# SPDX-License-Identifier: BSD-2-Clause
"""How a program of an administrator begins and ends, whichever it is. Not for what Ganeti calls: click takes time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from ganeti_cloud.errors import CloudError, RequestError, report

# From click 8.2 on the help of a group that is called without a command comes as an error.
_NO_ARGUMENTS: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def config_file(default: str) -> Decorator:
    """The option ``--config`` of a command: the *path* of the configuration file."""
    return click.option(
        "--config",
        "path",
        default=default,
        show_default=True,
        type=click.Path(dir_okay=False),
        help="The configuration file.",
    )


sample: Decorator = click.option(
    "--sample", is_flag=True, help="Print a sample file with every key and its default instead."
)
"""The option of a command that otherwise checks the configuration file."""


def run(cli: click.Group, name: str, *, interrupted: str = "start it again") -> int:
    """Run *cli* as the program *name*; returns its exit status.

    Every error that a person can mend is two lines on stderr; *interrupted* is the hint after an interruption.
    """
    try:
        status = cli.main(prog_name=name, standalone_mode=False)
    except click.UsageError as err:
        if err.ctx is not None and isinstance(err, _NO_ARGUMENTS):
            click.echo(err.ctx.get_help(), err=True)
            return 2
        command = err.ctx.command_path if err.ctx else name
        sys.stderr.write(report(RequestError(err.format_message(), hint=f"see {command} --help")))
        return 2
    except click.Abort:
        sys.stderr.write(report(CloudError("interrupted", hint=interrupted)))
        return 130
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return status if isinstance(status, int) else 0
