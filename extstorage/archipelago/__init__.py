# SPDX-License-Identifier: BSD-2-Clause
"""Archipelago: Ganeti's ExtStorage provider whose volumes are zero-copy clones in a Ceph cluster."""
