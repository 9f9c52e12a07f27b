# SPDX-License-Identifier: BSD-2-Clause
"""What every node of a Ganeti cluster knows without asking: small files that the master keeps up to date."""

from __future__ import annotations

DATA_FOLDER = "/var/lib/ganeti"


def _value(key: str, folder: str) -> str:
    try:
        with open(f"{folder}/ssconf_{key}", encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return ""


def cluster_name(folder: str = DATA_FOLDER) -> str:
    """The Ganeti cluster that this node belongs to; empty for none."""
    return _value("cluster_name", folder)


def master_node(folder: str = DATA_FOLDER) -> str:
    """The node that is master of it; empty without a cluster."""
    return _value("master_node", folder)
