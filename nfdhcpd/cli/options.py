# SPDX-License-Identifier: BSD-2-Clause
"""Options that several commands have."""

from __future__ import annotations

import click

from nfdhcpd import settings

config_file = click.option(
    "--config",
    "path",
    default=settings.CONFIG_FILE,
    show_default=True,
    type=click.Path(dir_okay=False),
    help="The configuration file.",
)
