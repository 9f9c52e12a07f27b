# SPDX-License-Identifier: BSD-2-Clause
"""The command ``nfdhcpd run``."""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path

import click

from nfdhcpd import settings
from nfdhcpd.cli.check import show
from nfdhcpd.cli.options import config_file
from nfdhcpd.loop import privileges

_USER = "nfdhcpd"


@click.command()
@config_file
@click.option("--user", default=_USER, show_default=True, help="Whom to become when started as root.")
@click.option("--check-config", is_flag=True, help="Only check the configuration file.")
def run(path: str, user: str, check_config: bool) -> None:
    """Run the daemon in the foreground, until SIGTERM.

    SIGHUP has it read the configuration file again, SIGUSR1 write the table of guests to the journal.

    \b
    Examples:
      systemctl start nfdhcpd
      nfdhcpd run
      nfdhcpd run --config try.toml --check-config
    """
    if check_config:
        show(path)
        return
    site = settings.load(path)
    if os.geteuid() == 0 and privileges.has_more():
        privileges.become(user, [sys.executable, *sys.orig_argv[1:]], Path(site.service.state))
    privileges.check()
    _serve(site, path)


def _serve(site: settings.Settings, path: str) -> None:
    # The other commands do without all of this.
    from ganeti_cloud.daemon.outlet import Handler, Outlet, is_journal
    from nfdhcpd.loop.daemon import Daemon

    descriptor = sys.stderr.fileno()
    outlet = Outlet(descriptor, prefixed=is_journal(descriptor, os.environ))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[Handler(outlet)], force=True)
    try:
        daemon = Daemon(site, path, outlet, os.environ)
        # What is there by now stays: the collector needs not look at it again and again.
        gc.freeze()
        try:
            daemon.serve()
        finally:
            daemon.close()
    finally:
        outlet.flush(0.5)
