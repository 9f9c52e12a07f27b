# SPDX-License-Identifier: BSD-2-Clause
"""Makes what the helper machine boots: a kernel and a read-only root file system, out of Debian's packages alone."""
