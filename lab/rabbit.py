# SPDX-License-Identifier: BSD-2-Clause
"""A real RabbitMQ on the store, by the package's own unit."""

from __future__ import annotations

from ganeti_cloud.errors import CommandError
from lab.node import Node

USER = "lab"
PASSWORD = "lab"  # of a broker that nothing outside of the lab's switch can reach

_START_S = 120.0
_CTL_S = 60.0


def up(store: Node) -> bool:
    """Start the broker and make its user, who may do anything in ``/``. Safe to repeat; False when it ran."""
    if _running(store):
        return False
    store.write("/etc/rabbitmq/rabbitmq-env.conf", f"NODENAME=rabbit@{store.name}\nNODE_IP_ADDRESS=0.0.0.0\n")
    store.write("/etc/rabbitmq/rabbitmq.conf", "loopback_users = none\n")
    store.run(["systemctl", "start", "rabbitmq-server"], timeout_s=_START_S)
    known = store.run(["rabbitmqctl", "--silent", "list_users"], timeout_s=_CTL_S)
    if not any(line.split()[0] == USER for line in known.splitlines() if line.strip()):
        store.run(["rabbitmqctl", "--quiet", "add_user", USER], timeout_s=_CTL_S, stdin=f"{PASSWORD}\n")
        store.run(["rabbitmqctl", "--quiet", "set_user_tags", USER, "administrator"], timeout_s=_CTL_S)
    store.run(["rabbitmqctl", "--quiet", "set_permissions", USER, ".*", ".*", ".*"], timeout_s=_CTL_S)
    return True


def _running(store: Node) -> bool:
    try:
        store.run(["systemctl", "is-active", "rabbitmq-server"], timeout_s=_CTL_S)
    except CommandError:
        return False
    return True
