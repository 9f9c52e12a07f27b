# SPDX-License-Identifier: BSD-2-Clause
"""The program ``kvm-ifup``: what an administrator does with the taps of a node, and asks of them."""

from __future__ import annotations

import sys

import click

from ganeti_cloud import __version__
from ganeti_cloud.errors import CloudError, RequestError, report
from kvm_ifup.cli.check import check_config
from kvm_ifup.cli.reconcile import reconcile
from kvm_ifup.cli.refresh import refresh
from kvm_ifup.cli.show import show
from kvm_ifup.cli.taps import down, up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kvm-ifup")
def cli() -> None:
    """The taps of this node's guests: connected and filtered, or closed.

    \b
    Examples:
      kvm-ifup show
      kvm-ifup reconcile --dry-run
      kvm-ifup refresh web1.example.com
    """


for _command in (up, down, refresh, reconcile, show, check_config):
    cli.add_command(_command)


# From click 8.2 on the help of a group that is called without a command comes as an error.
_NO_ARGUMENTS: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def main() -> int:
    """Run the program; returns its exit status. Every error that a person can mend is two lines on stderr."""
    try:
        status = cli.main(prog_name="kvm-ifup", standalone_mode=False)
    except click.UsageError as err:
        if err.ctx is not None and isinstance(err, _NO_ARGUMENTS):
            click.echo(err.ctx.get_help(), err=True)
            return 2
        command = err.ctx.command_path if err.ctx else "kvm-ifup"
        sys.stderr.write(report(RequestError(err.format_message(), hint=f"see {command} --help")))
        return 2
    except click.Abort:
        sys.stderr.write(report(CloudError("interrupted", hint="start it again")))
        return 130
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return status if isinstance(status, int) else 0
