# SPDX-License-Identifier: BSD-2-Clause
# `make help` lists what there is to make.

PYTHON := /usr/bin/python3
VENV := .venv
RELEASE ?= trixie
PACKETS ?= 10000000
# What is checked as a program of ours although its name does not say so.
SHELL_SCRIPTS := .ci/run bench/ifup_predecessor.sh bench/ifup_ten_commands.sh debian/ganeti-kvm-ifup.preinst \
    debian/nfdhcpd.prerm extstorage/archipelago/completion/archipelago ganeti_hooks/completion/ganeti-cloud-hooks \
    kvm-ifup/completion/kvm-ifup nfdhcpd/completion/nfdhcpd os_providers/snf-image/completion/snf-image

# In tests of what a mistake in typing leads to, a word of LVM, one of ip-rule, and short for neighbour discovery.
MISSPELT_ON_PURPOSE := orgin,conectix,resizeable,iif,nd

# What a pipe's first program says counts, too.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

# Where a lab itself breaks, each further test would only wait for its limits.
# Each run tells where its time went.
LAB_TESTS := GANETI_CLOUD_STRICT=1 $(VENV)/bin/pytest --maxfail=8 --durations=30 --durations-min=5

.PHONY: help setup check network fuzz flood test lab-bookworm lab-trixie demo deb bench clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## Install what a development machine needs (apt and pip, as root)
	tools/setup

check: $(VENV)/.installed ## Format, lint, types, shell scripts, spelling, manual pages, unit tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy ganeti_cloud extstorage/archipelago os_providers/snf-image nfdhcpd kvm-ifup/kvm_ifup ganeti_hooks lab bench tests
	shellcheck $(SHELL_SCRIPTS) tools/setup tools/build-debs tools/build-netfilterqueue tools/check-man-pages
	git ls-files -z | xargs -0 codespell --ignore-words-list=$(MISSPELT_ON_PURPOSE)
	tools/check-man-pages
	$(VENV)/bin/pytest --numprocesses=2 tests/unit

# Each of these tests has a network of its own, and most of its time is waiting.
network: setup ## Real DHCP clients in network namespaces, against the daemon of this tree
	GANETI_CLOUD_STRICT=1 $(VENV)/bin/pytest --numprocesses=4 tests/network

fuzz: $(VENV)/.installed ## Show wrong packets to the DHCP server's decoders (PACKETS=10000000 each)
	$(VENV)/bin/python -m tests.fuzz.decoders $(PACKETS)
	$(VENV)/bin/python -m tests.fuzz.decoders --atheris build/fuzz $(PACKETS)

flood: setup ## Send wrong packets to the daemon itself, through a tap (PACKETS=10000000)
	GANETI_CLOUD_STRICT=1 GANETI_CLOUD_MUTANTS=$(PACKETS) $(VENV)/bin/pytest tests/network/test_hostile.py -k malformed

test: setup check network deb ## Everything, with the lab tier on both releases of Debian
	$(MAKE) --no-print-directory --jobs=2 lab-bookworm lab-trixie
	$(LAB_TESTS) -m alone --release=bookworm --release=trixie tests/lab

# Two labs beside each other, one from the last file to the first: while the tests of one wait, those of the other
# compute, as the same file seldom has its turn in both. Each line of output says whose it is.
lab-trixie: FILES := $(shell ls --reverse tests/lab/test_*.py)
lab-bookworm: FILES := tests/lab
lab-bookworm lab-trixie: lab-%:
	$(LAB_TESTS) -m 'not alone' --verbose --release=$* $(FILES) | sed --unbuffered 's/^/$*: /'

demo: setup deb ## Boot, migrate, grow and remove a VM on a clone, on a real cluster (RELEASE=trixie or bookworm)
	lab/lab demo --release $(RELEASE)

deb: ## Build the Debian packages into dist/
	tools/build-debs

bench: setup deb ## Compare with the peers and print a table of ratios
	bench/run --all

clean: ## Remove what was built here (the lab's caches stay)
	rm -rf dist build $(VENV)

$(VENV)/.installed: requirements-dev.txt
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@
