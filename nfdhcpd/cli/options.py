# SPDX-License-Identifier: BSD-2-Clause
"""Options that several commands have."""

from __future__ import annotations

from ganeti_cloud import program
from nfdhcpd import settings

config_file = program.config_file(settings.CONFIG_FILE)
