"""A folder in which the workflow can run without touching the working tree: the sources are links."""

import os
import subprocess
import sys

import pytest

from workflow.planning import ROOT

SOURCES = [
    "Snakefile",
    "environment.yml",
    "config",
    "workflow",
    "fileio",
    "speechop",
    "metrics",
    "baselines",
    "toy_gmm",
    "listening",
]


def run(folder, *command, timeout=600, **environment):
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=timeout,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"} | environment,
    )  # fmt: skip


def snakemake(folder, *arguments, **kwargs):
    return run(folder, sys.executable, "-m", "snakemake", *arguments, **kwargs)


@pytest.fixture
def project(tmp_path):
    for name in SOURCES:
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path
