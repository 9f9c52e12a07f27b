# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti itself says: which cluster this is, and which volumes its disks are."""
