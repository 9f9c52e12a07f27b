# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti runs before and after its operations: it tells of them, and has the taps of guests that left cleared."""
