# SPDX-License-Identifier: BSD-2-Clause
"""All comparisons: a new one is a module beside this and its name in the tuple."""

from __future__ import annotations

from bench import attach, clone, deployment, file_clone, helper, ifup, sync, workers
from bench.comparison import AnyComparison
from bench.dhcp.comparison import COMPARISON as DHCP
from bench.ifup_filter.comparison import COMPARISON as IFUP_FILTER
from ganeti_cloud.errors import RequestError

COMPARISONS: tuple[AnyComparison, ...] = (
    clone.COMPARISON,
    attach.COMPARISON,
    workers.COMPARISON,
    sync.COMPARISON,
    file_clone.COMPARISON,
    helper.COMPARISON,
    deployment.COMPARISON,
    DHCP,
    ifup.COMPARISON,
    IFUP_FILTER,
)


def find(name: str) -> AnyComparison:
    """The comparison called *name*. Raises RequestError."""
    for comparison in COMPARISONS:
        if comparison.name == name:
            return comparison
    known = ", ".join(comparison.name for comparison in COMPARISONS)
    raise RequestError(f"there is no comparison {name!r}", hint=f"there are {known}; bench/run --list tells about them")
