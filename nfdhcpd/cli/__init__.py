# SPDX-License-Identifier: BSD-2-Clause
"""The program ``nfdhcpd``: the daemon, and what an administrator asks it."""

from __future__ import annotations

import sys

import click

from ganeti_cloud import __version__
from ganeti_cloud.errors import CloudError, RequestError, report
from nfdhcpd.cli.answers import answers
from nfdhcpd.cli.check import check_config
from nfdhcpd.cli.leases import leases
from nfdhcpd.cli.rules import rules
from nfdhcpd.cli.run import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nfdhcpd")
def cli() -> None:
    """Addresses for the guests of this node: DHCPv4, DHCPv6, router and neighbour advertisements on their taps.

    \b
    Examples:
      nfdhcpd check-config
      nfdhcpd rules show
      nfdhcpd leases
      nfdhcpd answers tap0
    """


for _command in (run, check_config, leases, answers, rules):
    cli.add_command(_command)


# From click 8.2 on the help of a group that is called without a command comes as an error.
_NO_ARGUMENTS: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def main() -> int:
    """Run the program; returns its exit status. Every error that a person can mend is two lines on stderr."""
    try:
        status = cli.main(prog_name="nfdhcpd", standalone_mode=False)
    except click.UsageError as err:
        if err.ctx is not None and isinstance(err, _NO_ARGUMENTS):
            click.echo(err.ctx.get_help(), err=True)
            return 2
        command = err.ctx.command_path if err.ctx else "nfdhcpd"
        sys.stderr.write(report(RequestError(err.format_message(), hint=f"see {command} --help")))
        return 2
    except click.Abort:
        sys.stderr.write(report(CloudError("interrupted", hint="start it again")))
        return 130
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return status if isinstance(status, int) else 0
