# SPDX-License-Identifier: BSD-2-Clause
"""The helper machine as the node sees it: a QEMU without rights that gets disks and a job, and answers in lines."""
