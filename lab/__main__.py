# SPDX-License-Identifier: BSD-2-Clause
"""``python3 -m lab``: the same as ``lab/lab``."""

from lab.cli import main

main()
