# SPDX-License-Identifier: BSD-2-Clause
"""What runs inside the helper machine: it alone looks into the image. Only Python's own library is there."""
