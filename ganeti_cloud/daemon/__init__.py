# SPDX-License-Identifier: BSD-2-Clause
"""What every daemon of the suite does the same way: the service manager, signals, journal, pages for programs."""
