# SPDX-License-Identifier: BSD-2-Clause
"""The disk parameters that the provider knows (``--disk N:key=value``), and the settings of the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ganeti_cloud import config
from ganeti_cloud.errors import RequestError

MANUAL = "archipelago.toml(5)"

# One line each in parameters.list, where Ganeti reads them for `gnt-storage info`.
DISK_PARAMETERS = {
    "origin": "What to clone the disk from: an image, image@sha256:..., or snapshot:volume@snapshot",
    "reuse_data": "Volume to take over with its data, instead of making one (archipelago volume list)",
    "driver": "Where the volume lives, rados or file, instead of the configured one",
    "pool": "Pool of the volume, instead of the configured one",
    "namespace": "RADOS namespace of the volume within its pool, instead of the configured one",
    "user": "cephx user, without 'client.', instead of the configured one",
    "keyring": "File with the cephx user's key, instead of the configured one",
    "conf": "Ceph's configuration file, instead of the configured one",
}

# Ganeti's own, handed to every provider.
_GANETI_PARAMETERS = frozenset({"provider", "access"})

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_NAME = "a name of letters, digits, '_', '.' and '-', with a letter or digit first"

_pool = config.word(_NAME_CHARACTERS, _NAME)
_namespace = config.word(_NAME_CHARACTERS, _NAME, empty=True)


def _https(raw: object) -> str:
    if not isinstance(raw, str) or not raw.startswith("https://") or not raw.isascii() or raw != raw.strip():
        raise ValueError("an address https://HOST:PORT")
    return raw


DEFAULT_CONF = "/etc/ceph/ceph.conf"
DEFAULT_USER = "admin"

DRIVERS = ("rados", "file")

OPTIONS = (
    config.Option(
        "storage",
        "driver",
        "rados",
        config.choice(*DRIVERS),
        "Where volumes and images live: rados (RBD images in a Ceph cluster) or file (files in a shared folder).",
    ),
    config.Option("ceph", "conf", DEFAULT_CONF, config.absolute_path, "Ceph's configuration file."),
    config.Option("ceph", "user", DEFAULT_USER, _pool, "cephx user, without 'client.'."),
    config.Option(
        "ceph",
        "keyring",
        "",
        config.optional(config.absolute_path),
        "File with the key of the user; empty for where Ceph looks for it.",
    ),
    config.Option("ceph", "pool", "rbd", _pool, "Pool of the volumes."),
    config.Option("ceph", "namespace", "", _namespace, "RADOS namespace within the pool; empty for none."),
    config.Option("file", "folder", "/srv/archipelago", config.absolute_path, "Folder that all nodes share."),
    config.Option("file", "pool", "default", _pool, "Folder below it, of the volumes."),
    config.Option("images", "pool", "", _namespace, "Pool of the images; empty for that of the volumes."),
    config.Option(
        "images",
        "namespace",
        "",
        _namespace,
        "RADOS namespace of the images; it holds with [images] pool, which otherwise brings that of the volumes.",
    ),
    config.Option(
        "images",
        "limit_gib",
        256,
        config.number("GiB", minimum=1, maximum=16384),
        "How large the content of an image may be, unpacked, in GiB.",
    ),
    config.Option(
        "volumes",
        "max_depth",
        16,
        config.number("levels", minimum=1, maximum=64),
        "How deep a chain of clones may be; deeper ones are flattened in the background.",
    ),
    config.Option(
        "trash",
        "keep_days",
        14,
        config.number("days", minimum=0, maximum=3650),
        "How long a removed volume with snapshots, or one without an owner, is kept, in days.",
    ),
    config.Option(
        "attach",
        "map",
        "auto",
        config.choice("auto", "krbd", "nbd", "fuse"),
        "How a volume becomes a block device: krbd, nbd (rbd-nbd), fuse (qemu-storage-daemon and a loop device), "
        "or auto: the first of these that works on the node.",
    ),
    config.Option(
        "ganeti",
        "rapi",
        "",
        config.optional(_https),
        "Where `archipelago gc` asks Ganeti on a node that is not the master, https://HOST:5080; empty for nowhere.",
    ),
    config.Option("ganeti", "rapi_user", "", _namespace, "User there; empty for none."),
    config.Option(
        "ganeti",
        "rapi_password_file",
        "",
        config.optional(config.absolute_path),
        "File with the password of that user.",
    ),
    config.Option(
        "ganeti",
        "rapi_certificate",
        "/var/lib/ganeti/rapi.pem",
        config.absolute_path,
        "File with the certificate that RAPI has to show.",
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
    """How this node reaches the store of one volume. Pools and namespaces are those of *driver*."""

    driver: str
    conf: str
    user: str
    keyring: str
    pool: str
    namespace: str
    folder: str
    image_pool: str
    image_namespace: str
    limit_gib: int
    max_depth: int
    keep_days: int
    map: str
    rapi: str
    rapi_user: str
    rapi_password_file: str
    rapi_certificate: str
    connect_s: int
    operation_s: int

    @classmethod
    def load(cls, path: str, parameters: Mapping[str, str] = MappingProxyType({})) -> Settings:
        """The settings in the file at *path*, with what a disk's own *parameters* say instead.

        Images stay where the settings have them: a disk in another pool is cloned across pools. Raises ConfigError,
        and RequestError for a parameter.
        """
        values = config.load(path, OPTIONS, MANUAL)
        driver = _of_disk(parameters, "driver", config.choice(*DRIVERS), values["storage", "driver"])
        section = "ceph" if driver == "rados" else "file"
        pool = values[section, "pool"]
        namespace = values["ceph", "namespace"] if driver == "rados" else ""
        own_images = bool(values["images", "pool"])
        return cls(
            driver=driver,
            conf=_of_disk(parameters, "conf", config.absolute_path, values["ceph", "conf"]),
            user=_of_disk(parameters, "user", _pool, values["ceph", "user"]),
            keyring=_of_disk(parameters, "keyring", config.absolute_path, values["ceph", "keyring"]),
            pool=_of_disk(parameters, "pool", _pool, pool),
            namespace=_of_disk(parameters, "namespace", _namespace, namespace),
            folder=values["file", "folder"],
            image_pool=values["images", "pool"] or pool,
            image_namespace=values["images", "namespace"] if own_images else namespace,
            limit_gib=values["images", "limit_gib"],
            max_depth=values["volumes", "max_depth"],
            keep_days=values["trash", "keep_days"],
            map=values["attach", "map"],
            rapi=values["ganeti", "rapi"],
            rapi_user=values["ganeti", "rapi_user"],
            rapi_password_file=values["ganeti", "rapi_password_file"],
            rapi_certificate=values["ganeti", "rapi_certificate"],
            connect_s=values["limits", "connect_s"],
            operation_s=values["limits", "operation_s"],
        )

    def place(self, name: str) -> str:
        """One line that means the volume *name* in its store, and no other."""
        folder = self.folder if self.driver == "file" else ""
        return " ".join(part for part in (self.driver, folder, self.pool, self.namespace, name) if part)

    def spec(self, name: str) -> str:
        """*name* as the tools of Ceph write it: pool, namespace if there is one, image."""
        return "/".join(part for part in (self.pool, self.namespace, name) if part)

    def ceph_options(self) -> list[str]:
        """What every program of Ceph is told, to be this client of this cluster."""
        keyring = ["--keyring", self.keyring] if self.keyring else []
        return ["--conf", self.conf, "--id", self.user, *keyring]


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
