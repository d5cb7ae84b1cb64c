"""An edit of a source that a command depends on, by whatever import, runs its rule again; any other edit does not."""

import pytest

from speechbase.files import UserError
from tests.workflow.conftest import snakemake
from workflow.plan import sources
from workflow.plan.places import ROOT

FILES = {
    "room/__init__.py": "",
    "room/command.py": "import room.plain\nfrom room import (\n    listed,  # why\n)\n\n\ndef late():\n"
    "    from room.inner import deep as other\n",
    "room/plain.py": "import numpy as np\n",
    "room/listed.py": "",
    "room/inner/__init__.py": "",
    "room/inner/deep.py": "",
    "room/apart.py": "import room.plain\n",
}
SNAKEFILE = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from workflow.plan import sources
sources.ROOT = Path.cwd()
rule one:
    output: "out.txt"
    params: code=sources.code_of("room.command")
    shell: "touch {{output}}"
"""


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_import_is_followed_with_its_packages(tree, monkeypatch):
    monkeypatch.setattr(sources, "ROOT", tree)
    for cached in (sources._closure, sources._imports, sources._module_file):
        cached.cache_clear()
    assert sources.sources("room.command") == sorted(FILES.keys() - {"room/apart.py"})
    assert sources.sources("room/inner/*.py", "room.plain") == [
        "room/inner/__init__.py", "room/inner/deep.py", "room/plain.py",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"no module 'room\.none'"):
        sources.sources("room.none")
    for cached in (sources._closure, sources._imports, sources._module_file):
        cached.cache_clear()


def test_an_edit_runs_the_rule_again_and_only_an_edit_of_what_it_depends_on(tree):
    (tree / "Snakefile").write_text(SNAKEFILE.format(root=str(ROOT)))

    def said(*options):
        done = snakemake(tree, "--cores", 1, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "rule one" in said()
    (tree / "room/apart.py").write_text("ANOTHER = 1\n")
    (tree / "room/plain.py").touch()
    assert "Nothing to be done" in said("-n")
    (tree / "room/inner/deep.py").write_text("ANOTHER = 1\n")
    assert "Params have changed" in said("-n")
