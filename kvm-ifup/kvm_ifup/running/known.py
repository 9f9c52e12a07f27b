# SPDX-License-Identifier: BSD-2-Clause
"""Whether anything is known of a guest here, found out without loading what knows it: most often nothing is."""

from __future__ import annotations

import os

FOLDER = "/run/kvm-ifup"


def is_known(instance: str, folder: str = FOLDER) -> bool:
    """Whether the name *instance* stands in any state that is kept in *folder*. True where that cannot be told."""
    try:
        for name in os.listdir(folder):
            if name.endswith(".json"):
                with open(f"{folder}/{name}", "rb") as stream:
                    if os.fsencode(instance) in stream.read():
                        return True
    except FileNotFoundError:
        return os.path.isdir(folder)  # a state that goes meanwhile may not be the only one
    except OSError:
        return True
    return False
