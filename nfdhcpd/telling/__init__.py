# SPDX-License-Identifier: BSD-2-Clause
"""What people and other programs learn of the daemon: journal lines, and pages of counters and leases."""
