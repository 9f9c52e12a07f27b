# SPDX-License-Identifier: BSD-2-Clause
"""Images: their names, versions and properties, and how they come in."""
