# SPDX-License-Identifier: BSD-2-Clause
"""Whether the Ganeti of this node can use the provider."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from archipelago.attached import GANETI
from archipelago.parameters import parameters_list
from ganeti_cloud.checkup import Check, State

SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"
LOGS = "/var/log/ganeti/extstorage"
CONFIG_DATA = "/var/lib/ganeti/config.data"

VERBS = ("create", "attach", "detach", "remove", "grow", "setinfo", "verify", "snapshot", "open", "close")


class GanetiFacts(NamedTuple):
    """What was seen of Ganeti. *templates* are None where this node does not hold the cluster's configuration."""

    installed: bool
    unusable_scripts: list[str]
    parameters: str
    logs: bool
    templates: list[str] | None


def look(ganeti: str = GANETI, scripts: str = SCRIPTS, logs: str = LOGS, config: str = CONFIG_DATA) -> GanetiFacts:
    """The facts about the Ganeti installed here."""
    return GanetiFacts(
        installed=os.path.exists(ganeti),
        unusable_scripts=[verb for verb in VERBS if not os.access(f"{scripts}/{verb}", os.X_OK)],
        parameters=_text(f"{scripts}/parameters.list"),
        logs=os.path.isdir(logs),
        templates=_templates(_text(config)),
    )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def _templates(config: str) -> list[str] | None:
    if not config:
        return None  # only master candidates have it
    return list(json.loads(config)["cluster"].get("enabled_disk_templates", []))


def checks(facts: GanetiFacts) -> list[Check]:
    """What *facts* mean."""
    if not facts.installed:
        return [Check("Ganeti", State.NO, "not installed here: images can be looked after, disks cannot be used")]
    return [_scripts(facts), _logs(facts), *_template(facts)]


def _scripts(facts: GanetiFacts) -> Check:
    remedy = "apt install --reinstall ganeti-extstorage-archipelago"
    if facts.unusable_scripts:
        missing = ", ".join(facts.unusable_scripts)
        return Check("provider", State.FAIL, f"missing or not executable in {SCRIPTS}: {missing}", remedy)
    if facts.parameters != parameters_list():
        text = f"{SCRIPTS}/parameters.list is not that of this version: Ganeti refuses what it does not name"
        return Check("provider", State.FAIL, text, remedy)
    return Check("provider", State.OK, f"all scripts are in {SCRIPTS}")


def _logs(facts: GanetiFacts) -> Check:
    if not facts.logs:
        text = f"there is no {LOGS}: Ganeti runs no script without it"
        return Check("script logs", State.FAIL, text, "systemd-tmpfiles --create ganeti-extstorage-archipelago.conf")
    return Check("script logs", State.OK, f"Ganeti writes them into {LOGS}")


def _template(facts: GanetiFacts) -> list[Check]:
    if facts.templates is None:
        return []
    if "ext" in facts.templates:
        return [Check("disk template", State.OK, "ext is enabled in the cluster")]
    wanted = ",".join([*facts.templates, "ext"])
    return [
        Check(
            "disk template",
            State.FAIL,
            f"ext is not enabled in the cluster, only {', '.join(facts.templates) or 'none'}",
            f"gnt-cluster modify --enabled-disk-templates={wanted} --ipolicy-disk-templates={wanted}",
        )
    ]
