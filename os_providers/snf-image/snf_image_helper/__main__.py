# SPDX-License-Identifier: BSD-2-Clause
"""Started by the kernel as process 1."""

from snf_image_helper.init import main

main()
