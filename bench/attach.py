# SPDX-License-Identifier: BSD-2-Clause
"""``attach`` of a volume that is attached, which Ganeti asks for up to ten times in one operation, against the least
that any script in Python costs: the start of its interpreter.
"""

from __future__ import annotations

from bench.comparison import Comparison
from bench.site import Contestant, Plan, Site, script, volume_env
from bench.verdict import Contrast, Samples
from ganeti_cloud.errors import CloudError

_VOLUME = "00000000-0000-4000-8000-00000000bebe.ext.disk0"
_ROUNDS = 100
_STEP_S = 120.0


def measure(site: Site) -> Samples:
    """Attach a volume, and then time the same request again and again."""
    env = volume_env(_VOLUME)
    _call(site, "create", env | {"VOL_SIZE": "1024"})
    answer = _call(site, "attach", env)
    record = site.node.run(["cat", f"/run/ganeti-cloud/archipelago/{_VOLUME}.attached"], timeout_s=_STEP_S)
    if not answer.startswith("/dev/") or not record.endswith(answer):
        raise CloudError(f"attach answered {answer!r}, and its record says {record!r}: nothing to measure")
    contestants = [
        Contestant("ours", [[script("attach")]], env=env),
        Contestant("python3", [["/usr/bin/python3", "-I", "-c", "pass"]], env=env),
    ]
    samples = site.interleave("attach", Plan(contestants, rounds=_ROUNDS, warm_up=5))
    if _call(site, "attach", env) != answer:
        raise CloudError("attach changed its answer while it was measured")
    return samples


def _call(site: Site, verb: str, env: dict[str, str]) -> str:
    given = [f"{key}={value}" for key, value in env.items()]
    return site.node.run(["env", *given, script(verb)], timeout_s=_STEP_S)


COMPARISON = Comparison(
    name="attach",
    about="attach of a volume that is attached already, against the bare start of python3",
    measure=measure,
    contrasts=[Contrast("attach against python3 -I -c pass", ours="ours", peer="python3", at_most=2.0)],
)
