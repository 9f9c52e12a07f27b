# SPDX-License-Identifier: BSD-2-Clause
"""The Ceph of the driver ``rados``: reached, with which rights, and what of its configuration hurts.

What a user may do is found out without doing it: an OSD looks at the rights first, and then answers that there is no
such object, or that the request is no request; the monitor does the same with an address that is none.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

import rados
import rbd

from archipelago.parameters import Settings
from archipelago.rados.cluster import Cluster, connected, errno_of, image_spec
from ganeti_cloud.checkup import Check, State
from ganeti_cloud.errors import CloudError

# An object that nobody makes.
_NOTHING = "ganeti-cloud.doctor"

# Releases before the one that brought clones of the second format, mimic.
_BEFORE_MIMIC = frozenset(
    "argonaut bobtail cuttlefish dumpling emperor firefly giant hammer infernalis jewel kraken luminous".split()
)

_CAPS = "compare `ceph auth get {}` with EXAMPLES and SEVERAL CLUSTERS IN ONE CEPH in archipelago.toml(5)"


class Rights(NamedTuple):
    """What the user may do in a pool and namespace; *trouble* is an error and its hint when that is not there."""

    read: bool = False
    write: bool = False
    clone_from: bool = False
    trouble: tuple[str, str] | None = None


class CephFacts(NamedTuple):
    """What was seen. *keyrings* are those that exist, with their modes. After *trouble* (an error and its hint), the
    rest was not looked at."""

    settings: Settings
    op_timeout_s: float
    keyrings: dict[str, int]
    trouble: tuple[str, str] | None = None
    fsid: str = ""
    volumes: Rights = Rights()
    images: Rights = Rights()
    may_fence: bool = False
    oldest_client: str = ""
    clone_format: str = "auto"


def look(settings: Settings) -> CephFacts:
    """The facts about the cluster that *settings* name."""
    try:
        # As QEMU will have it: `connected` sets limits of its own.
        conf = rados.Rados(conffile=settings.conf, rados_id=settings.user)
        op_timeout_s = float(conf.conf_get("rados_osd_op_timeout") or 0)
        keyrings = _modes(settings.keyring or conf.conf_get("keyring") or "")
    except rados.Error:
        op_timeout_s, keyrings = 0.0, {}  # `connected` says what is wrong with the file
    facts = CephFacts(settings, op_timeout_s, keyrings)
    try:
        with connected(settings) as cluster:
            return facts._replace(
                fsid=cluster.handle.get_fsid(),
                volumes=_rights(lambda: cluster.pool),
                images=_rights(lambda: cluster.image_pool),
                may_fence=_may_fence(cluster),
                oldest_client=_oldest_client(cluster),
                clone_format=cluster.handle.conf_get("rbd_default_clone_format") or "auto",
            )
    except CloudError as err:
        return facts._replace(trouble=(str(err), err.hint))


def _modes(paths: str) -> dict[str, int]:
    found = {}
    for path in (part.strip() for part in paths.replace(";", ",").split(",")):
        if path and os.path.exists(path):
            found[path] = stat.S_IMODE(os.stat(path).st_mode)
    return found


def _rights(pool: Callable[[], rados.Ioctx]) -> Rights:
    try:
        place = pool()
    except CloudError as err:
        return Rights(trouble=(str(err), err.hint))
    except (rados.Error, rbd.Error) as err:
        if errno_of(err) in (errno.EPERM, errno.EACCES):
            return Rights()  # a namespace that is closed to us
        raise
    header = f"rbd_header.{_NOTHING}"
    return Rights(
        read=_allowed(lambda: place.stat(_NOTHING))
        and _allowed(lambda: place.execute(_NOTHING, "rbd", "get_features", b"")),
        write=_allowed(lambda: place.remove_object(_NOTHING))
        and _allowed(lambda: place.execute(_NOTHING, "rbd", "dir_rename_image", b"")),
        clone_from=_allowed(lambda: place.execute(header, "rbd", "child_attach", b"")),
    )


def _allowed(request: Callable[[], object]) -> bool:
    try:
        request()
    except rados.PermissionError:
        return False
    except (rados.ObjectNotFound, rados.InvalidArgumentError):
        pass
    return True


def _may_fence(cluster: Cluster) -> bool:
    nobody = _command("osd blocklist", blocklistop="add", addr="nobody/0")
    status, _, _ = cluster.handle.mon_command(nobody, b"")
    return status not in (-errno.EACCES, -errno.EPERM)  # who may is told EINVAL


def _oldest_client(cluster: Cluster) -> str:
    _, name, _ = cluster.handle.mon_command(_command("osd get-require-min-compat-client"), b"")
    return name.decode().strip()


def _command(prefix: str, **arguments: str) -> str:
    return json.dumps({"prefix": prefix, **arguments})


def checks(facts: CephFacts) -> list[Check]:
    """What *facts* mean."""
    client = f"client.{facts.settings.user}"
    before = [*_limits(facts), *_keyrings(facts, client), *_admin(client)]
    if facts.trouble:
        return [*before, Check("cluster", State.FAIL, *facts.trouble)]
    return [
        *before,
        Check("cluster", State.OK, f"{client} is connected to {facts.fsid}"),
        _volumes(facts, client),
        _images(facts, client),
        _fencing(facts, client),
        _clones(facts),
    ]


def _limits(facts: CephFacts) -> list[Check]:
    if not facts.op_timeout_s:
        return []
    return [
        Check(
            "time limits",
            State.WARN,
            f"rados_osd_op_timeout = {facts.op_timeout_s:g} in {facts.settings.conf}: instances see I/O errors when "
            "the cluster is slower than that",
            "remove it there: the provider sets limits of its own, [limits] in archipelago.toml(5)",
        )
    ]


def _keyrings(facts: CephFacts, client: str) -> list[Check]:
    return [
        Check(
            "keyring",
            State.WARN,
            f"{path} can be read by others than its owner (mode {mode:04o})",
            f"chmod 600 {path}",
        )
        if mode & 0o077
        else Check("keyring", State.OK, f"{path} is there, for its owner alone")
        for path, mode in facts.keyrings.items()
    ]


def _admin(client: str) -> list[Check]:
    if client != "client.admin":
        return []
    text = "client.admin may do anything in this Ceph, and its key is on every node"
    return [Check("user", State.WARN, text, "make a user for the provider: EXAMPLES in archipelago.toml(5)")]


def _volumes(facts: CephFacts, client: str) -> Check:
    rights, where = facts.volumes, facts.settings.spec("")
    if rights.trouble:
        return Check("volumes", State.FAIL, *rights.trouble)
    if not (rights.read and rights.write):
        return Check("volumes", State.FAIL, f"{client} may not {_lacking(rights)} {where}", _CAPS.format(client))
    return Check("volumes", State.OK, f"{client} may do in {where} what they need")


def _lacking(rights: Rights) -> str:
    return "read from" if not rights.read else "write to"


def _images(facts: CephFacts, client: str) -> Check:
    rights, where = facts.images, image_spec(facts.settings)
    if rights.trouble:
        return Check("images", State.FAIL, *rights.trouble)
    if not rights.read or not rights.clone_from:
        verb = "clone from" if rights.read else "read from"
        return Check("images", State.FAIL, f"{client} may not {verb} {where}", _CAPS.format(client))
    if not rights.write:
        return Check("images", State.OK, f"{client} may clone from {where}, and another user brings them in")
    return Check("images", State.OK, f"{client} may clone from {where}, and bring them in")


def _fencing(facts: CephFacts, client: str) -> Check:
    if facts.may_fence:
        return Check("fencing", State.OK, f"{client} may put dead clients on the blocklist")
    text = f"{client} may put no client on the blocklist, so what a dead node holds cannot be taken over"
    return Check(
        "fencing", State.FAIL, text, f"ceph auth caps {client} mon 'profile rbd' osd ...: name all of its caps"
    )


def _clones(facts: CephFacts) -> Check:
    settings = facts.settings
    second = facts.clone_format == "2" or (
        facts.clone_format != "1" and facts.oldest_client not in {*_BEFORE_MIMIC, "unknown", ""}
    )
    if second:
        return Check("clones", State.OK, f"are of the second format (oldest client allowed: {facts.oldest_client})")
    text = "are of the first format: an image or a snapshot cannot be removed while volumes are cloned from it"
    remedy = "ceph osd set-require-min-compat-client mimic, when `ceph features` shows no older client"
    if settings.namespace != settings.image_namespace:
        return Check("clones", State.FAIL, f"{text}, and they cannot reach across namespaces", remedy)
    return Check("clones", State.WARN, text, remedy)
