# SPDX-License-Identifier: BSD-2-Clause
"""Moving a volume to another pool or driver, while its instance runs or while it is stopped.

The *old* place is the truth until the switch, the *new* one from then on. Which of the two it is stands in a mark
beside the old volume, so that a move that was killed anywhere is finished or undone by the next run, on any node.
"""
