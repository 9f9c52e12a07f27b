# SPDX-License-Identifier: BSD-2-Clause
"""How each kind of guest is told its network: a file for each configuration system."""
