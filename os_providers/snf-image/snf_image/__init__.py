# SPDX-License-Identifier: BSD-2-Clause
"""The node's side of a deployment: what Ganeti calls, where the image comes from, and the machine that adapts it."""
