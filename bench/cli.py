# SPDX-License-Identifier: BSD-2-Clause
"""The command line of the comparisons."""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path

import click

from bench import machine
from bench.catalogue import COMPARISONS, find
from bench.comparison import AnyComparison
from bench.verdict import Verdict, judge, table
from ganeti_cloud.errors import CloudError, RequestError, report
from ganeti_cloud.files import replace_file
from lab.spec import Release

RESULTS = Path(__file__).resolve().parent / "results"

# As plain texts: click shows a member of an enum as Python would.
_RELEASES = [release.value for release in Release]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Run each, and print a table of the ratios at the end.")
@click.option("--list", "list_", is_flag=True, help="Print what comparisons there are.")
@click.option("--release", type=click.Choice(_RELEASES), default="trixie", show_default=True, help="Of Debian.")
def cli(name: str | None, every: bool, list_: bool, release: str) -> int:
    """Run the comparison NAME with its peers, in a lab of its own with the packages in dist/, or without one.

    The last line is the verdict; bench/results/NAME.json holds every sample. The exit status is 0 when all goals are
    reached. Needs root.

    \b
    Examples:
      bench/run attach
      bench/run clone --release bookworm
      bench/run --all
    """
    if list_:
        width = max(len(comparison.name) for comparison in COMPARISONS)
        for comparison in COMPARISONS:
            click.echo(f"{comparison.name:<{width}}  {comparison.about}")
        return 0
    if every == (name is not None):
        raise click.UsageError("give either one NAME or --all")
    chosen = COMPARISONS if name is None else (find(name),)
    if os.geteuid() != 0:
        raise RequestError("measuring needs root: it makes a lab", hint=f"sudo bench/run {name or '--all'}")
    if name is not None:
        return 0 if run(chosen[0], Release(release)).ok else 1
    return _run_all(chosen, Release(release))


def _run_all(chosen: tuple[AnyComparison, ...], release: Release) -> int:
    verdicts: dict[str, Verdict | None] = {}
    for comparison in chosen:
        try:
            verdicts[comparison.name] = run(comparison, release)
        except CloudError as err:  # the others can still be measured
            _say(report(err).rstrip("\n"))
            verdicts[comparison.name] = None
    click.echo("\n".join(table(verdicts)))
    return 0 if all(verdict is not None and verdict.ok for verdict in verdicts.values()) else 1


def run(comparison: AnyComparison, release: Release) -> Verdict:
    """Measure, keep the samples, print the verdict's lines."""
    begin = datetime.datetime.now(datetime.UTC)
    versions, samples = comparison.collect(release, _say)
    verdict = judge(comparison.name, comparison.contrasts, samples)
    result = {
        "name": comparison.name,
        "date": begin.isoformat(timespec="seconds"),
        "machine": machine.machine(),
        "versions": versions,
        "verdict": verdict.lines(),
        "samples_s": samples,
    }
    RESULTS.mkdir(exist_ok=True)
    replace_file(RESULTS / f"{comparison.name}.json", json.dumps(result, indent=1) + "\n", mode=0o644)
    click.echo("\n".join(verdict.lines()))
    return verdict


def _say(line: str) -> None:
    click.echo(line, err=True)


def main() -> int:
    """Run the command line; returns its exit status. Every error that a person can mend is two lines on stderr."""
    try:
        status: int = cli.main(prog_name="bench/run", standalone_mode=False)
    except click.UsageError as err:
        sys.stderr.write(report(RequestError(err.format_message(), hint="see bench/run --help")))
        return 2
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write(report(CloudError("interrupted", hint="nothing is left of the lab; start it again")))
        return 130
    except CloudError as err:
        sys.stderr.write(report(err))
        return err.exit_code
    return status
