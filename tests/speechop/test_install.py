"""What inference needs of other packages: the command line works where nothing else is installed."""

import re
import subprocess
import sys
import textwrap
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest

from speechbase import audio
from tests.speechop.test_recordings import RATE, noise

INFERENCE = (
    "torch", "torchaudio", "numpy", "scipy", "safetensors", "soundfile", "soxr", "pyloudnorm", "typer", "tqdm", "pyyaml",
    "pydantic", "huggingface-hub", "pysubs2",
)  # fmt: skip
PHONEMES = ("hibari-tts",)  # how long new speech is: tts and edit


def folded(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(*names: str) -> set[str]:
    """Distributions that come with some (extras left out)."""
    found, left = set(), [folded(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:
            continue
        left += [folded(re.match(r"[\w.-]+", one)[0]) for one in wanted if "extra ==" not in one]
    return found


def run_without_the_rest(allowed: set[str], *arguments: str) -> subprocess.CompletedProcess:
    """The command line in a Python that cannot import any module of other distributions."""
    ours = {"speechop-replication"}
    refused = [
        module
        for module, owners in packages_distributions().items()
        if not {folded(owner) for owner in owners} & (allowed | ours)
    ]
    script = textwrap.dedent(f"""
        import sys
        REFUSED = {set(refused)!r}
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in REFUSED:
                    raise ModuleNotFoundError(f"No module named {{name!r}} (not installed here)", name=name)
        sys.meta_path.insert(0, Refuse())
        from speechop.cli import main
        sys.argv = ["speechop", *sys.argv[1:]]
        main()
    """)
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=300)


def test_enhancement_needs_few_packages(models, tmp_path):
    audio.write(tmp_path / "a.wav", noise(0.5), RATE)
    allowed = needed(*INFERENCE)
    assert "pandas" not in allowed and "snakemake" not in allowed and "transformers" not in allowed
    common = ("--models", str(models), "--steps", "1", "-o", str(tmp_path / "b.wav"))
    done = run_without_the_rest(allowed, "enhance", str(tmp_path / "a.wav"), "--transcript", "ten boxes", *common)
    assert done.returncode == 0 and (tmp_path / "b.wav").is_file(), done.stderr[-2000:]


@pytest.mark.parametrize(
    "arguments,said",
    [
        (("enhance", "a.wav", "--itc"), "install"),
        (("tts", "ten boxes", "--prompt", "a.wav", "--prompt-text", "three"), "pip install hibari-tts"),
        (("demo",), "demo"),
    ],
)
def test_what_more_is_needed_is_said_in_a_sentence(tmp_path, arguments, said):
    audio.write(tmp_path / "a.wav", noise(0.5), RATE)
    here = [str(tmp_path / part) if part == "a.wav" else part for part in arguments]
    done = run_without_the_rest(needed(*INFERENCE), *here)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr[-2000:]


@pytest.mark.slow
def test_new_speech_needs_the_lexicon_besides(models, tmp_path):
    audio.write(tmp_path / "a.wav", noise(0.5), RATE)
    done = run_without_the_rest(
        needed(*INFERENCE, *PHONEMES), "tts", "ten boxes", "--prompt", str(tmp_path / "a.wav"), "--prompt-text", "three",
        "--models", str(models), "--steps", "1", "-o", str(tmp_path / "b.wav"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
