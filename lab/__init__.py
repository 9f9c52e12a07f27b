# SPDX-License-Identifier: BSD-2-Clause
"""A real cloud on one machine: N real Ganeti nodes, a real Ceph, a real RabbitMQ, in namespaces.

>>> from lab.lab import Lab
>>> from lab.spec import LabSpec, Release
>>> lab = Lab.up(LabSpec(name="lab", release=Release.TRIXIE))
>>> lab.node(1).run(["gnt-instance", "list"], timeout_s=30)
"""
