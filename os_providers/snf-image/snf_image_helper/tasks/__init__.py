# SPDX-License-Identifier: BSD-2-Clause
"""The tasks, a file each, under the names of the original; the order is in :mod:`snf_image_helper.plan`."""
