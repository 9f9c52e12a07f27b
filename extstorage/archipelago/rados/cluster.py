# SPDX-License-Identifier: BSD-2-Clause
"""The connection to Ceph: every wait limited, every refusal put into words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import rados
import rbd

from archipelago.parameters import Settings
from ganeti_cloud.errors import CloudError, ConfigError, StorageError


class Cluster:
    """A connected client; ``pool`` is the pool (and namespace) that its settings name."""

    def __init__(self, handle: rados.Rados, settings: Settings) -> None:
        self.handle = handle
        self.settings = settings
        self._pools: dict[tuple[str, str], rados.Ioctx] = {}

    @property
    def pool(self) -> rados.Ioctx:
        """The pool of the volumes."""
        return self.open_pool(self.settings.pool, self.settings.namespace)

    @property
    def image_pool(self) -> rados.Ioctx:
        """The pool of the images."""
        return self.open_pool(self.settings.image_pool, self.settings.image_namespace)

    def open_pool(self, name: str, namespace: str) -> rados.Ioctx:
        """The pool *name*, with *namespace* chosen. Opened once; closed with the connection."""
        if (name, namespace) not in self._pools:
            try:
                pool = self.handle.open_ioctx(name)
            except rados.ObjectNotFound as err:
                raise ConfigError(
                    f"the cluster has no pool {name!r}",
                    hint="name one of `ceph osd pool ls` as [ceph] pool, or as the disk's parameter pool",
                ) from err
            # Without it the client waits for space, and a full pool could not even be emptied.
            pool.set_osdmap_full_try()
            if namespace:
                # RBD itself says "no such image" when the namespace is missing.
                if not rbd.RBD().namespace_exists(pool, namespace):
                    raise ConfigError(
                        f"pool {name!r} has no namespace {namespace!r}",
                        hint=f"make it with `rbd namespace create {name}/{namespace}`, or name another one",
                    )
                pool.set_namespace(namespace)
            self._pools[name, namespace] = pool
        return self._pools[name, namespace]

    def check(self) -> None:
        """Raise ConfigError when the pool of the volumes is not there, rados.Error when it is closed to this user."""
        try:
            self.pool.stat("rbd_directory")
        except rados.ObjectNotFound:
            pass  # nothing was ever made in it

    def evict(self, address: str, seconds: int) -> None:
        """Fence the client at *address*: what it still tries to write is refused for *seconds*."""
        self.handle.blocklist_add(address, seconds)

    @property
    def host(self) -> str:
        """This node as the cluster knows it: the address that all its clients have."""
        return host_of(self.handle.get_addrs())

    def is_own(self, address: str) -> bool:
        """Whether *address*, as a list of watchers shows it, is that of this very client."""
        return self.handle.get_addrs().rpartition("/")[2] == address.rpartition("/")[2]

    def close(self) -> None:
        """End the connection."""
        for pool in self._pools.values():
            pool.close()
        self.handle.shutdown()


@contextmanager
def connected(settings: Settings) -> Iterator[Cluster]:
    """A connection as *settings* say. Errors of Ceph within the block become ConfigError or StorageError."""
    cluster = Cluster(_connect(settings), settings)
    try:
        yield cluster
    except (rados.Error, rbd.Error) as err:
        raise explained(err, settings) from err
    finally:
        cluster.close()


def _connect(settings: Settings) -> rados.Rados:
    # These belong here and not into the ceph.conf that QEMU reads: a guest is to wait for a slow cluster, not to fail.
    # connect(timeout=) is ignored by librados; client_mount_timeout is what counts.
    limits = {
        "client_mount_timeout": str(settings.connect_s),
        "rados_mon_op_timeout": str(settings.operation_s),
        "rados_osd_op_timeout": str(settings.operation_s),
        # A removed parent lives on in the trash for its clones, and goes with the last of them.
        "rbd_move_parent_to_trash_on_remove": "true",
        # A script's messages go to Ganeti's log of that script; librados would add its own to them.
        "log_to_stderr": "false",
        "err_to_stderr": "false",
        "log_file": "",
        "admin_socket": "",
        **({"keyring": settings.keyring} if settings.keyring else {}),
    }
    try:
        handle = rados.Rados(conffile=settings.conf, rados_id=settings.user, conf=limits)
    except rados.Error as err:
        raise ConfigError(
            f"{settings.conf}: not a usable Ceph configuration ({err})",
            hint="copy ceph.conf from a monitor, or name another file as [ceph] conf",
        ) from err
    try:
        handle.connect()
    except rados.Error as err:
        unreachable = _why_not_connected(handle, settings, err)
        handle.shutdown()
        raise unreachable from err
    return handle


def _why_not_connected(handle: rados.Rados, settings: Settings, err: rados.Error) -> CloudError:
    client = f"client.{settings.user}"
    if isinstance(err, rados.TimedOut):
        return StorageError(
            f"no monitor of the Ceph cluster answered within {settings.connect_s} s (mon_host in {settings.conf})",
            hint="see whether `ceph -s` answers on this node, and whether the monitors' port is reachable",
        )
    named = (handle.conf_get("keyring") or "").replace(";", ",").split(",")
    keyrings = [path.strip() for path in named if path.strip()] or [f"/etc/ceph/ceph.{client}.keyring"]
    if not any(os.access(path, os.R_OK) for path in keyrings):
        return ConfigError(
            f"no keyring for {client}: none of {', '.join(keyrings)} can be read",
            hint=f"fetch it with `ceph auth get {client} -o {keyrings[0]}`; archipelago.toml(5) tells how to make one",
        )
    if errno_of(err) in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"the cluster refuses {client}: unknown to it, or another key than in {', '.join(keyrings)}",
            hint=f"compare with `ceph auth get {client}`",
        )
    return StorageError(f"cannot connect to the cluster as {client}: {err}", hint=f"check {settings.conf}")


def holders(pool: rados.Ioctx, name: str) -> list[str]:
    """The addresses of the clients that have the image *name* open; none when it cannot be opened."""
    try:
        with rbd.Image(pool, name, read_only=True) as image:
            return [watcher["addr"] for watcher in image.watchers_list()]
    except rbd.ImageNotFound:
        return []


def host_of(address: str) -> str:
    """The host in a client's *address*, ``192.0.2.1:0/123`` or ``[2001:db8::1]:0/123``."""
    return address.rpartition(":")[0].strip("[]")


def errno_of(err: BaseException) -> int | None:
    """The errno that an exception of the bindings carries, as a positive number."""
    number = getattr(err, "errno", None)
    return abs(number) if isinstance(number, int) else None


def _pools(settings: Settings) -> str:
    volumes, images = settings.spec(""), image_spec(settings)
    return repr(volumes) if images == volumes else f"{volumes!r} or {images!r}"


def image_spec(settings: Settings) -> str:
    """Where the images are, as the tools of Ceph write it."""
    return "/".join(part for part in (settings.image_pool, settings.image_namespace) if part)


def explained(err: rados.Error | rbd.Error, settings: Settings) -> StorageError:
    """*err* in words that name the part at fault and the remedy."""
    client = f"client.{settings.user}"
    match errno_of(err):
        case errno.ETIMEDOUT:
            return StorageError(
                f"the Ceph cluster did not answer within {settings.operation_s} s ({err})",
                hint="`ceph -s` shows which OSD or placement group is stuck; try again when it is healthy",
            )
        case errno.ENOSPC | errno.EDQUOT:
            return StorageError(
                f"pool {settings.pool!r} is full",
                hint="make room or raise the pool's quota: see `ceph df` and `ceph health detail`",
            )
        case errno.EACCES | errno.EPERM:
            return StorageError(
                f"{client} may not do this in pool {_pools(settings)} ({err})",
                hint=f"compare its caps (`ceph auth get {client}`) with those in archipelago.toml(5)",
            )
        case errno.EXDEV:
            return StorageError(
                f"this cluster still makes clones of the first format, which cannot reach across namespaces ({err})",
                hint="`ceph osd set-require-min-compat-client mimic` allows the second one, or keep images and volumes "
                "in one namespace",
            )
        case errno.ESHUTDOWN:
            return StorageError(
                "this client has been fenced by another one",
                hint="the volume is used elsewhere; see `ceph osd blocklist ls`",
            )
        case _:
            return StorageError(f"Ceph: {err}", hint="see `ceph -s` and `ceph health detail`")
