# SPDX-License-Identifier: BSD-2-Clause
"""Files with disk images that strangers made: fetched, recognised, unpacked and read, and never trusted."""
