"""activate: refuses with a sentence what it cannot mend, costs nothing when there is nothing to do, in every shell."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workflow.plan.places import ROOT


def source(folder, shell, path=None, then="command -v python", **more):
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "_OLD_VIRTUAL"))
    }
    environment["PATH"] = str(path or os.environ["PATH"])
    return subprocess.run(
        [*shell, "-c", f". ./activate && {then}"], cwd=folder, env=environment, capture_output=True, text=True, **more
    )


def tools(folder, *names):
    """A PATH that has just these programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    return copied(folder)


def copied(folder):
    """What `activate` reads, in a folder."""
    for name in ("activate", "requirements.lock", "overrides.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def fresh(clone):
    """A .venv whose stamp says that it is up to date."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "activate").write_text(f"PATH={clone}/.venv/bin:$PATH; export PATH\n")
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    decisive = ("requirements.lock", "overrides.txt", "pyproject.toml")
    stamp = hashlib.sha256(b"".join((clone / name).read_bytes() for name in decisive)).hexdigest()
    (clone / ".venv" / "lock.sha256").write_text(stamp + "\n")


SHELLS = [["bash", "-euo", "pipefail"], ["bash"], ["sh", "-eu"], ["zsh", "-eu", "-o", "pipefail"], ["dash", "-eu"]]


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell[0])], ids=" ".join)
def test_a_fresh_environment_is_taken_as_it_is(clone, shell):
    fresh(clone)
    done = source(clone, shell)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{clone}/.venv/bin/python" and not done.stderr


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell[0])], ids=" ".join)
def test_bytecode_is_kept_inside_the_environment_even_where_it_was_forbidden(clone, shell, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    fresh(clone)
    (clone / "once.py").write_text("said = 1\n")
    done = source(clone, shell, then="python -c 'import once'")
    assert done.returncode == 0, done.stderr
    assert list((clone / ".venv" / "bytecode").rglob("once*.pyc"))
    assert not list(clone.glob("__pycache__"))


def test_a_changed_lock_is_noticed(clone, tmp_path):
    fresh(clone)
    with open(clone / "requirements.lock", "a") as stream:
        stream.write("# newer\n")
    path = tools(tmp_path / "bin", "bash", "cat", "sha256sum", "cut", "dirname")
    done = source(clone, [shutil.which("bash")], path)
    assert done.returncode == 1 and "Python 3.11 or 3.12 is needed" in done.stderr


def test_without_a_compiler_it_says_so_and_leaves_nothing(clone, tmp_path):
    path = tools(tmp_path / "bin", "bash", "cat", "sha256sum", "cut", "dirname")
    (path / "python3.11").symlink_to(sys.executable)
    done = source(clone, [shutil.which("bash"), "-euo", "pipefail"], path)
    assert done.returncode == 1 and "C compiler is needed" in done.stderr
    assert not (clone / ".venv").exists()


def test_in_a_checkout_that_is_read_only_it_says_so_before_anything_is_fetched():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        place = Path(name)
        copied(place)
        for part in (*place.iterdir(), place):
            part.chmod(0o555 if part.is_dir() else 0o444)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        done = source(place, [shutil.which("bash")], "/usr/bin:/bin", **nobody)
        assert done.returncode == 1 and "you cannot write there" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        place.chmod(0o755)


def test_an_installation_that_fails_ends_with_the_remedy(clone, tmp_path):
    path = tools(tmp_path / "bin", "bash", "cat", "sha256sum", "cut", "dirname", "mktemp", "rm", "mkdir", "chmod")
    (path / "python3.11").symlink_to(sys.executable)
    (path / "cc").symlink_to("/bin/true")
    uv = path / "uv"
    uv.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\n[ "$1" = venv ] && exit 0\necho "no route" >&2\nexit 1\n')
    uv.chmod(0o755)
    done = source(clone, [shutil.which("bash")], path)
    assert done.returncode == 1 and "no route" in done.stderr and "goes on from here" in done.stderr
    assert not (clone / ".venv" / "lock.sha256").exists()


def test_it_can_be_sourced_from_elsewhere(clone, tmp_path):
    fresh(clone)
    done = subprocess.run(
        ["bash", "-euc", f'source "{clone}/activate"; command -v python'], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{clone}/.venv/bin/python", done.stderr


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests do not run in an environment")
def test_inside_an_active_environment_the_python_that_made_it_is_used(clone):
    fresh(clone)
    done = source(clone, ["bash"], then="_speechop_python")
    assert done.stdout.strip() == sys._base_executable
