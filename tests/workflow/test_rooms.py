"""Who may import whom (docs/architecture.md), and that nothing names the machine that it was written on."""

import ast
import re
import subprocess

import pytest

from workflow.plan.places import ROOT

ROOMS = ("speechbase", "speechop", "metrics", "baselines", "toy_gmm", "workflow")
MAY_IMPORT = {
    "speechbase": (),
    "speechop": ("speechbase",),
    "metrics": ("speechbase",),
    "baselines": ("speechbase",),
    "toy_gmm": ("speechbase", "speechop.guidance"),
    "workflow": ROOMS,
}


def imported(source):
    """Every module that a source file imports, with the names taken from it: `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(room, source):
    allowed = (room, *MAY_IMPORT[room])
    for module in imported(source):
        target = module.split(".")[0]
        if target in ROOMS and not any(f"{module}.".startswith(f"{name}.") for name in allowed):
            yield module
        if target == "snakemake" and room != "workflow":
            yield module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files, f"{room} is empty"
    found = {str(path.relative_to(ROOT)): list(forbidden(room, path.read_text())) for path in files}
    assert not {path: modules for path, modules in found.items() if modules}


def test_a_forbidden_import_would_be_seen():
    assert list(forbidden("metrics", "from speechop import guidance")) == ["speechop.guidance"]
    assert list(forbidden("baselines", "import speechop.model.network")) == ["speechop.model.network"]
    assert not list(forbidden("baselines", "from speechbase.items import Item"))
    assert list(forbidden("speechop", "import snakemake.utils")) == ["snakemake.utils"]


def tracked_text():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 1_000_000:
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_file_names_a_machine_path_or_a_registry_host():
    # Written in pieces, so that this file is not found by itself.
    pattern = re.compile(
        "|".join(
            ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/tm" + "p/", "pypi" + r"\.org", "files.python" + "hosted"]
        )
    )
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    found = [name for name, text in tracked_text() if name != "requirements.lock" and pattern.search(text)]
    assert not found


@pytest.mark.parametrize("path", ["config", "workflow/presets", ".github/workflows"])
def test_every_yaml_file_parses(path):
    import yaml

    files = sorted([*(ROOT / path).glob("*.yaml"), *(ROOT / path).glob("*.yml")])
    assert files
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text()), dict), file


def test_lines_of_pages_and_tables_end_at_120_characters():
    """But for what cannot break: a page's tables and addresses."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pages = [ROOT / name for name in names.split("\0") if name.endswith((".md", ".yaml", ".yml", ".smk", "Snakefile"))]
    assert len(pages) > 50
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in pages
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120 and not line.startswith("|") and " " in line.strip()
    ]
    assert long == []
