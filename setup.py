# SPDX-License-Identifier: BSD-2-Clause
"""What Python packages there are. The executables and data of each component are placed by debian/."""

from setuptools import setup

setup(
    name="ganeti-cloud",
    version="0.1.0",
    description="Plugins that make a Ganeti cluster cloud-ready",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=[
        "ganeti_cloud",
        "ganeti_cloud.imagefile",
        "archipelago",
        "archipelago.catalogue",
        "archipelago.cli",
        "archipelago.contract",
        "archipelago.file",
        "archipelago.ganeti",
        "archipelago.doctor",
        "archipelago.mapping",
        "archipelago.migrating",
        "archipelago.rados",
        "nfdhcpd",
        "nfdhcpd.cli",
        "nfdhcpd.dhcp4",
        "nfdhcpd.dhcp6",
        "nfdhcpd.guests",
        "nfdhcpd.loop",
        "nfdhcpd.packets",
        "nfdhcpd.router",
        "nfdhcpd.rules",
        "nfdhcpd.telling",
        "nfdhcpd.wire",
        "snf_image",
        "snf_image.cli",
        "snf_image.machine",
        "snf_image_helper",
        "snf_image_helper.network",
        "snf_image_helper.tasks",
        "snf_image_helper.windows",
    ],
    package_dir={
        "archipelago": "extstorage/archipelago",
        "snf_image": "os_providers/snf-image/snf_image",
        "snf_image_helper": "os_providers/snf-image/snf_image_helper",
    },
    package_data={"ganeti_cloud": ["py.typed"]},
    # rados and rbd are Ceph's own bindings: they come with the distribution's Ceph and are on no package index.
    install_requires=["click>=8.1"],
)
