"""What each group of dependencies is for: its commands work where no other package is installed."""

import ast
import json
import re
import socket
import subprocess
import sys
import textwrap
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest

from speechbase import audio
from tests.speechop.test_recordings import RATE, noise
from workflow.plan.environment import canonical, group
from workflow.plan.places import ROOT

PYPROJECT = ROOT / "pyproject.toml"
ROOMS = ("speechbase", "speechop", "metrics", "baselines", "toy_gmm", "workflow")


def needed(*groups: str) -> set[str]:
    """Distributions that come with the command line and some groups (extras of others left out)."""
    found: set[str] = set()
    left = list(group(PYPROJECT, *groups))
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:
            continue
        left += [canonical(re.match(r"[\w.-]+", one)[0]) for one in wanted if "extra ==" not in one]
    return found


def run_without_the_rest(allowed: set[str], *commands: tuple, timeout: int = 300) -> list[tuple[int, str]]:
    """Exit status and messages of command lines (module or script, argument, ...) in a Python that cannot import any
    module of other distributions."""
    ours = {"speechop-replication"}
    refused = {
        module
        for module, owners in packages_distributions().items()
        if not {canonical(owner) for owner in owners} & (allowed | ours)
    }
    assert "snakemake" in refused, "nothing is refused"
    script = textwrap.dedent(f"""
        import contextlib, io, json, runpy, sys, traceback
        REFUSED = {refused!r}
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in REFUSED:
                    raise ModuleNotFoundError(f"No module named {{name!r}} (not installed here)", name=name)
        sys.meta_path.insert(0, Refuse())
        done = []
        for module, *arguments in json.loads(sys.argv[1]):
            sys.argv = [module, *arguments]
            said, code = io.StringIO(), 0
            with contextlib.redirect_stderr(said):
                try:
                    run = runpy.run_path if module.endswith(".py") else runpy.run_module
                    run(module, run_name="__main__")
                except SystemExit as stop:
                    code = stop.code or 0
                except BaseException:
                    code = 70
                    traceback.print_exc()
            done.append((code, said.getvalue()))
        print("\\n" + json.dumps(done))
    """)
    arguments = json.dumps([[str(part) for part in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", script, arguments], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr[-2000:]
    return [tuple(one) for one in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture
def take(tmp_path):
    audio.write(tmp_path / "a.wav", noise(0.5), RATE)
    return tmp_path / "a.wav"


def test_the_command_line_needs_few_packages(models, take, tmp_path):
    allowed = needed()
    assert not allowed & {"pandas", "snakemake", "transformers", "onnxruntime", "hibari-tts", "gradio", "matplotlib"}
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nten boxes\n")
    quick = ("--models", models, "--steps", 1)
    named = {
        "b": ("enhance", take, "--transcript", "ten boxes", "--transcript-out", tmp_path / "b.vtt", "--json"),
        "c": ("enhance", take, "--transcript-in", tmp_path / "a.srt", "--voice", take),
        "d": ("separate", take, "--prompt", take),
        "e": ("isolate", take, "--what", "noise"),
        "f": ("match", take, "--prompt", take),
    }
    commands = [("speechop.cli", *words, *quick, "-o", tmp_path / f"{name}.wav") for name, words in named.items()]
    (tmp_path / "in").mkdir()
    for name in "gh":
        audio.write(tmp_path / "in" / f"{name}.flac", noise(0.4), RATE)
    commands.append(("speechop.cli", "enhance", tmp_path / "in", "--out-dir", tmp_path / "out", *quick))
    commands.append(("speechop.cli", "info", "--models", models))
    commands.append(("speechop.export", "--models", models, "--out", tmp_path / "hub"))
    for command, (code, said) in zip(commands, run_without_the_rest(allowed, *commands), strict=True):
        assert code == 0, (command, said[-2000:])
    written = [*(tmp_path / f"{name}.wav" for name in named), *((tmp_path / "out").iterdir()), tmp_path / "b.vtt"]
    assert all(path.is_file() for path in written) and len(written) == 8


def test_what_more_is_needed_is_said_in_a_sentence(models, take):
    commands = {
        ("enhance", take, "--itc"): "speechop-replication[itc]",
        ("enhance", take, "--itc", "--asr", "moonshine"): "speechop-replication[itc]",
        ("tts", "ten boxes", "--prompt", take, "--prompt-text", "three"): "speechop-replication[speak]",
        ("edit", take, "--old", "ten boxes", "--new", "ten foxes"): "speechop-replication[itc]",
        ("demo",): "speechop-replication[demo]",
    }
    lines = [("speechop.cli", *command, "--models", models) for command in commands]
    for wanted, (code, said) in zip(commands.values(), run_without_the_rest(needed(), *lines), strict=True):
        assert code == 2 and wanted in said and "Traceback" not in said, said[-2000:]


@pytest.mark.slow
def test_new_speech_needs_the_lexicon_besides(models, take, tmp_path):
    command = (
        "speechop.cli",
        "tts",
        "ten boxes",
        "--prompt",
        take,
        "--prompt-text",
        "three",
        "--models",
        models,
        "--steps",
        1,
        "-o",
        tmp_path / "b.wav",
    )
    [(code, said)] = run_without_the_rest(needed("speak"), command)
    assert code == 0 and (tmp_path / "b.wav").is_file(), said[-2000:]


@pytest.mark.slow
def test_recognisers_need_their_packages_besides(models, tmp_path):
    take = ROOT / "speechbase/spoken/audio/test/kumo/test-kumo-0001.flac"  # an aligner finds no words in noise
    quick = ("--models", models, "--steps", 1)
    guided = ("speechop.cli", "enhance", take, "--itc", *quick)
    words = ("--old", "david wanted ten yellow tables", "--new", "david wanted nine yellow tables")
    edited = (*words, "--trust-old", *quick, "-o", tmp_path / "d.wav")
    done = run_without_the_rest(
        needed("itc", "speak"),
        (*guided, "-o", tmp_path / "b.wav"),
        (*guided, "--asr", "moonshine", "-o", tmp_path / "c.wav"),
        ("speechop.cli", "edit", take, *edited),
    )
    for code, said in done:
        assert code == 0 and "Traceback" not in said, said[-2000:]
    assert all((tmp_path / f"{name}.wav").is_file() for name in "bcd")


PAGE = """
import sys, urllib.request
from speechop import SpeechOp
from speechop.demo import Studio, serve, spectrograms
import numpy as np
assert spectrograms({"noise": np.random.default_rng(0).standard_normal(16000)}, 16000).axes
page = serve(SpeechOp.from_pretrained(sys.argv[1]), ["whisper_base"], int(sys.argv[2]), wait=False)
assert b"SpeechOp" in urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}").read()
page.close()
"""


def test_the_page_needs_gradio_besides(models, tmp_path):
    (tmp_path / "page.py").write_text(PAGE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    [(code, said)] = run_without_the_rest(needed("demo"), (tmp_path / "page.py", models, port))
    assert code == 0, said[-2000:]


def imports(room: str):
    """(file, package) of every import of a room, at any depth."""
    for file in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            yield from ((file.relative_to(ROOT), name.split(".")[0]) for name in names)


@pytest.mark.parametrize("room", ROOMS)
def test_every_package_that_is_imported_is_a_direct_dependency(room):
    """What another package happens to bring goes with that package's next version."""
    owners, declared = packages_distributions(), group(PYPROJECT, "suite", "demo")
    foreign = {
        (str(file), package)
        for file, package in imports(room)
        if package in owners and package not in ROOMS and not {canonical(one) for one in owners[package]} & declared
    }
    assert not foreign


def test_the_groups_are_disjoint_but_for_what_two_need():
    core, groups = group(PYPROJECT), {name: group(PYPROJECT, name) for name in ("speak", "itc", "demo")}
    for name, packages in groups.items():
        assert packages > core, name
    assert group(PYPROJECT, "dev") >= set.union(*groups.values(), group(PYPROJECT, "suite"))
