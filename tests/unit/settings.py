# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a node, for tests that need some."""

from __future__ import annotations

from archipelago.parameters import Settings

VOLUME = "3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0"

# What holds without a configuration file.
SETTINGS = Settings.load("/nonexistent")
