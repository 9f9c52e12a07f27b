# SPDX-License-Identifier: BSD-2-Clause
"""The driver ``file``: volumes are files in a folder that all nodes share."""
