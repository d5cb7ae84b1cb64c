"""A folder in which the workflow can run without touching the working tree: the sources are links."""

import os
import subprocess
import sys

import pytest

from workflow.plan.places import ROOT

ROOMS = ["config", "workflow", "speechbase", "speechop", "metrics", "baselines", "toy_gmm", "profiles"]
SOURCES = ["Snakefile", "environment.yml", "requirements.lock", *ROOMS]


def run(folder, *command, timeout=600, **environment):
    """Run a command in a folder, its output captured."""
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=timeout,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"} | environment,
    )  # fmt: skip


def snakemake(folder, *arguments, **kwargs):
    return run(folder, sys.executable, "-m", "snakemake", *arguments, **kwargs)


def link_sources(folder):
    """Make a folder a project whose sources are those of the working tree."""
    for name in SOURCES:
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture
def project(tmp_path):
    return link_sources(tmp_path)


SMOKE = ["--cores", 2, "--config", "scale=smoke"]
TABLE = "results/smoke/table3.csv"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder in which Table 3 was made once at the smoke scale."""
    folder = link_sources(tmp_path_factory.mktemp("smoke"))
    done = snakemake(folder, *SMOKE, "--", TABLE, timeout=3600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder
