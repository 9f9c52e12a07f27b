# SPDX-License-Identifier: BSD-2-Clause
"""Clones by four workers at once: the script ``create``, as noded runs it for four instances, against four threads of
one process that is connected to the cluster already and never ends.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from bench import crew
from bench.clone import imported, write_sparse
from bench.comparison import Comparison
from bench.site import ENV, Contestant, Plan, Reader, Site, script, volume_env
from bench.verdict import Contrast, Samples
from ganeti_cloud.process import follow

_WORKERS = 4
_EACH = 5
_ROUNDS = 12
_IMAGE = "bench-workers"
_SIZE_GIB = 1
_MEASURE_S = 1800.0

_OURS = "create"
_TOOL = "rbd clone+resize+meta"
_PROCESS = "a process of librbd"
_WHOLE = "librbd, the same work"
_BARE = "librbd, clone alone"


def measure(site: Site) -> Samples:
    """Bring the image in, and let each crew have its turns."""
    path, inside = site.shared(f"{_IMAGE}.raw")
    write_sparse(path, _SIZE_GIB << 30)
    with site.timeline.step(f"image of {_SIZE_GIB} GiB in the catalogue"):
        content = imported(site, _IMAGE, inside)
    program, program_inside = site.shared("crew.py")
    orders, orders_inside = site.shared("crew.json")
    shutil.copy(crew.__file__, program)
    alone = ["/usr/bin/python3", "-I", program_inside, orders_inside]
    orders.write_text(order(alone, content), encoding="utf-8")
    plan = Plan([Contestant(name, []) for name in (_OURS, _TOOL, _PROCESS, _WHOLE, _BARE)], rounds=_ROUNDS)
    reader = Reader(plan, lambda number: site.timeline.note(f"workers: {number} of {_ROUNDS} rounds"))
    with site.timeline.step(f"{_WORKERS} workers measured"):
        follow(site.node.argv(alone), reader.feed, timeout_s=_MEASURE_S)
    return reader.samples


def order(alone: Sequence[str], content: str) -> str:
    """What the workers are told. *alone* with the name of a volume makes one clone with librbd of *content*."""
    size_mib = (_SIZE_GIB + 1) << 10
    holder, _, snapshot = content.partition("@")
    clone = ["rbd", "clone", content, "{volume}"]
    resize = ["rbd", "resize", "--no-progress", "--size", f"{size_mib}M", "{volume}"]
    note = ["rbd", "image-meta", "set", "{volume}", "ganeti-cloud.volume.origin", _IMAGE]
    create_env = volume_env("{volume}") | {"VOL_SIZE": str(size_mib), "EXTP_ORIGIN": _IMAGE}
    programs = {
        _OURS: {"steps": [[script("create")]], "env": create_env},
        _TOOL: {"steps": [clone, resize, note], "env": {}},
        _PROCESS: {"steps": [[*alone, "{volume}"]], "env": {}},
    }
    return json.dumps(
        {
            "conf": "/etc/ceph/ceph.conf",
            "user": "admin",
            "pool": "rbd",
            "image": holder,
            "snapshot": snapshot,
            "size": size_mib << 20,
            "workers": _WORKERS,
            "each": _EACH,
            "rounds": _ROUNDS,
            "env": ENV,
            "programs": programs,
            "whole": _WHOLE,
            "bare": _BARE,
        }
    )


COMPARISON = Comparison(
    name="workers",
    about="clones by 4 workers at once, each create a process of its own, against 4 threads of one warm librbd process",
    measure=measure,
    contrasts=[
        Contrast("4 workers: create against librbd doing the same", _OURS, _WHOLE, at_most=8.0),
        Contrast("4 workers: create against a process of librbd for each", _OURS, _PROCESS, at_most=1.3),
        Contrast("4 workers: create against librbd's clone alone", _OURS, _BARE),
        Contrast("4 workers: create against rbd clone+resize+meta", _OURS, _TOOL, at_most=0.8),
    ],
)
