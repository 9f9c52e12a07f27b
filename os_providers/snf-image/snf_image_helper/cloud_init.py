# SPDX-License-Identifier: BSD-2-Clause
"""cloud-init in the guest: whether it is to do its part, and the NoCloud seed that tells it what."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from snf_image_helper import services
from snf_image_helper.properties import truth
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError

PROPERTY = "CLOUD_INIT"
SEED = "/var/lib/cloud/seed/nocloud"
CONFIGS = "/etc/cloud/cloud.cfg.d"
SOURCES = f"{CONFIGS}/99_snf_image.cfg"
NETWORK = f"{CONFIGS}/99_snf_image_network.cfg"
HEADER = "#cloud-config\n"

_MAIN_CONFIG = "/etc/cloud/cloud.cfg"
_PROGRAMS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
_SWITCHED_OFF = "/etc/cloud/cloud-init.disabled"
_UNITS = ("cloud-init.target", "cloud-init-local.service", "cloud-init.service")
# In YAML's block form or in braces, and never behind a comment sign.
_NO_NETWORK = re.compile(r"^\s*network\s*:\s*\{?\s*['\"]?config['\"]?\s*:\s*['\"]?disabled\b", re.MULTILINE)

_PYTHON = re.compile(r"python3\.")
_VERSION = re.compile(r"^__VERSION__\s*=\s*[\"'](\d{1,4})\.(\d{1,4})", re.MULTILINE | re.ASCII)


def installed(root: Root) -> bool:
    """Whether the image has cloud-init, and nothing switches it off."""
    if not root.exists(_MAIN_CONFIG) or not any(root.exists(path) for path in _PROGRAMS):
        return False
    return not root.exists(_SWITCHED_OFF) and not any(services.masked(root, unit) for unit in _UNITS)


def wanted(root: Root, properties: Mapping[str, str]) -> bool:
    """Whether cloud-init is to do what it can: as the property CLOUD_INIT says, else when the image has it.

    Raises TaskError when it is asked for and the image has none: nothing of what it was told would ever be done.
    """
    if not properties.get(PROPERTY, "").strip():
        return installed(root)
    try:
        asked = truth(properties, PROPERTY)
    except ValueError as err:
        raise TaskError(str(err)) from err
    if asked and not installed(root):
        raise TaskError(f"{PROPERTY}={properties[PROPERTY]}, but the image has no cloud-init that is switched on")
    return asked


def version(root: Root) -> tuple[int, int]:
    """The version of the image's cloud-init; (0, 0) when it cannot be told."""
    for folder in ("/usr/lib/python3", *(f"/usr/lib/{name}" for name in root.names("/usr/lib") if _PYTHON.match(name))):
        for packages in ("dist-packages", "site-packages"):
            path = f"{folder}/{packages}/cloudinit/version.py"
            found = _VERSION.search(root.read_text(path)) if root.exists(path) else None
            if found:
                return int(found[1]), int(found[2])
    return 0, 0


def makes_network(root: Root) -> bool:
    """Whether cloud-init would set up the network: an image may say ``network: {config: disabled}``."""
    files = [f"{CONFIGS}/{name}" for name in root.names(CONFIGS) if name.endswith(".cfg")]
    return not any(_NO_NETWORK.search(root.read_text(path)) for path in [_MAIN_CONFIG, *files] if root.exists(path))


def leave_network(root: Root) -> None:
    """Have cloud-init keep its hands off the network."""
    root.make_folders(CONFIGS)
    root.write_text(NETWORK, "network: {config: disabled}\n", mode=0o644, owner=0, group=0)


def write_seed_file(root: Root, name: str, data: bytes) -> None:
    """Put one file of the seed there. It may hold secrets, so it is root's alone."""
    root.make_folders(SEED.rpartition("/")[0])
    root.make_folders(SEED, mode=0o700)
    root.write(f"{SEED}/{name}", data, mode=0o600, owner=0, group=0)


def write_seed(
    root: Root, meta_data: Mapping[str, object], cloud_config: Mapping[str, object], user_data: bytes
) -> None:
    """Write what cloud-init reads at the first boot, and make the seed its only source.

    The owner's *user_data* stay as they are; what we ask for stands in the vendor data then, over which they win.
    """
    # Another one than that of any deployment before: cloud-init does its work once an instance.
    identity = {"instance-id": f"iid-{os.urandom(8).hex()}"}
    ours = HEADER + _json(cloud_config)
    write_seed_file(root, "meta-data", _json({**meta_data, **identity}).encode())
    write_seed_file(root, "user-data", user_data or ours.encode())
    write_seed_file(root, "vendor-data", (ours if user_data else HEADER + _json({})).encode())
    root.make_folders(CONFIGS)
    # In this form: ds-identify looks for it with a parser of its own, made of shell.
    root.write_text(SOURCES, "datasource_list: [ NoCloud, None ]\n", mode=0o644, owner=0, group=0)


def _json(value: object) -> str:
    """JSON is YAML, and needs no library."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
