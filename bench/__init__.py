# SPDX-License-Identifier: BSD-2-Clause
"""Comparisons with the peers, measured in a lab. docs/bench.md says how, and how to read the numbers."""
