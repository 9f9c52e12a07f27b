# SPDX-License-Identifier: BSD-2-Clause
"""Block devices for volumes: the ways there are to make one, and which of them this node has."""
