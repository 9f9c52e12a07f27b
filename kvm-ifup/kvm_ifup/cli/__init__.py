# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti and the administrator call: entries and the command ``kvm-ifup``."""
