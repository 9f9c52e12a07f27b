# SPDX-License-Identifier: BSD-2-Clause
"""Disk images of real Debian guests, as a cluster's users bring them: what deployments are tested with.

>>> from lab.images.image import guest_image
>>> from lab.images.spec import IMAGES
>>> guest_image(Release.TRIXIE, IMAGES["ext4-ifupdown"], Timeline()).path
"""
