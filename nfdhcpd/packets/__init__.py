# SPDX-License-Identifier: BSD-2-Clause
"""The way of one packet: out of its queue, past the limit, to the protocol that answers it, and back onto the tap."""
