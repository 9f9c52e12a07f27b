# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says of a NIC, and what that makes of its tap; pure, from environment to :class:`~kvm_ifup.port.Port`."""
