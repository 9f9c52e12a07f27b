# SPDX-License-Identifier: BSD-2-Clause
"""The disk parameters that the provider knows (``--disk N:key=value``), and the settings of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ganeti_cloud import config
from ganeti_cloud.errors import RequestError

MANUAL = "archipelago.toml(5)"

# One line each in parameters.list, where Ganeti reads them for `gnt-storage info`.
DISK_PARAMETERS = {
    "origin": "Image to clone the disk from, by its name in the catalogue (archipelago image list)",
    "pool": "Ceph pool of the volume, instead of the configured one",
    "namespace": "RADOS namespace of the volume within its pool, instead of the configured one",
    "user": "cephx user, without 'client.', instead of the configured one",
}

# Ganeti's own, handed to every provider.
_GANETI_PARAMETERS = frozenset({"provider", "access"})

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_NAME = "a name of letters, digits, '_', '.' and '-', with a letter or digit first"

_pool = config.word(_NAME_CHARACTERS, _NAME)
_namespace = config.word(_NAME_CHARACTERS, _NAME, empty=True)

DEFAULT_CONF = "/etc/ceph/ceph.conf"
DEFAULT_USER = "admin"

OPTIONS = (
    config.Option("ceph", "conf", DEFAULT_CONF, config.absolute_path, "Ceph's configuration file."),
    config.Option("ceph", "user", DEFAULT_USER, _pool, "cephx user, without 'client.'."),
    config.Option("ceph", "pool", "rbd", _pool, "Pool of images and volumes."),
    config.Option("ceph", "namespace", "", _namespace, "RADOS namespace within the pool; empty for none."),
    config.Option(
        "attach",
        "map",
        "auto",
        config.choice("auto", "krbd", "nbd", "fuse"),
        "How a volume becomes a block device: krbd, nbd (rbd-nbd), fuse (qemu-storage-daemon and a loop device), "
        "or auto: the first of these that works on the node.",
    ),
    config.Option(
        "limits",
        "connect_s",
        8,
        config.seconds(minimum=1, maximum=60),
        "How long to wait for the monitors when connecting, in seconds.",
    ),
    config.Option(
        "limits",
        "operation_s",
        10,
        config.seconds(minimum=1, maximum=120),
        "How long to wait for each single answer of the cluster, in seconds.",
    ),
)


class Settings(NamedTuple):
    """How this node reaches its Ceph cluster."""

    conf: str
    user: str
    pool: str
    namespace: str
    map: str
    connect_s: int
    operation_s: int
    image_pool: str
    image_namespace: str

    @classmethod
    def load(cls, path: str) -> Settings:
        """The settings in the file at *path*. Raises ConfigError."""
        values = {key: value for (_, key), value in config.load(path, OPTIONS, MANUAL).items()}
        return cls(**values, image_pool=values["pool"], image_namespace=values["namespace"])

    def for_disk(self, parameters: Mapping[str, str]) -> Settings:
        """These settings with what the disk's own *parameters* say instead. Raises RequestError.

        Images stay where the settings have them: a disk in another pool is cloned across pools.
        """
        return self._replace(
            pool=_of_disk(parameters, "pool", _pool, self.pool),
            namespace=_of_disk(parameters, "namespace", _namespace, self.namespace),
            user=_of_disk(parameters, "user", _pool, self.user),
        )

    def spec(self, name: str) -> str:
        """*name* as the tools of Ceph write it: pool, namespace if there is one, image."""
        return "/".join(part for part in (self.pool, self.namespace, name) if part)


def _of_disk(parameters: Mapping[str, str], key: str, check: Callable[[object], str], configured: str) -> str:
    if key not in parameters:
        return configured
    try:
        return check(parameters[key])
    except ValueError as err:
        raise RequestError(
            f"disk parameter {key}={parameters[key]!r} is not {err}",
            hint=f"give --disk N:{key}=… another value, or leave it out for the configured one",
        ) from err


def refuse_unknown(parameters: Mapping[str, str]) -> None:
    """Raise RequestError when a disk carries a parameter that means nothing here: Ganeti itself does not check."""
    unknown = sorted(set(parameters) - set(DISK_PARAMETERS) - _GANETI_PARAMETERS)
    if unknown:
        raise RequestError(
            f"unknown disk parameter {', '.join(repr(key) for key in unknown)}",
            hint=f"the parameters of this provider are {', '.join(DISK_PARAMETERS)}",
        )


def parameters_list() -> str:
    """The text of the file parameters.list. No blank line may be in it: Ganeti stumbles over one."""
    return "".join(f"{name} {text}\n" for name, text in DISK_PARAMETERS.items())
