# SPDX-License-Identifier: BSD-2-Clause
"""Windows guests: their registry, and the answer file by which Windows sets itself up when it starts first."""
