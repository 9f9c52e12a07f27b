# SPDX-License-Identifier: BSD-2-Clause
"""The driver ``rados``: volumes and images are RBD images in a pool of a Ceph cluster."""
