# SPDX-License-Identifier: BSD-2-Clause
"""The command line of the build."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from appliance.building import build
from ganeti_cloud.errors import CloudError, report


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="build", description="Make the helper image out of Debian's packages.")
    parser.add_argument("target", type=Path, help="the folder that gets vmlinuz, root.ext4 and manifest.json")
    parser.add_argument("--cache", type=Path, default=Path("build/appliance-cache"), help="what is used again")
    given = parser.parse_args()
    try:
        build(given.cache.absolute(), given.target.absolute(), _say)
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
