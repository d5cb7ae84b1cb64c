"""What an addition costs: each road of the README is walked on a copy of the repository, with just the files that it
names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from speechbase.files import read_jsonl
from tests.workflow.conftest import run, snakemake
from workflow.plan.places import ROOT

LARGE = 2**20  # bytes; larger files (weights) are linked instead of copied
TABLE = "workflow/presets/roads/mine.yaml"
PRESET = {
    "kind": "table", "title": "Mine", "source": "none", "set": "se",
    "metrics": [{"role": "pesq", "label": "PESQ", "better": "higher", "digits": 2}],
    "rows": [{"system": "noisy", "label": "Noisy"}, {"system": "speechop", "label": "SpeechOp"}],
}  # fmt: skip
METRIC = '''"""How far the loudest sample is from the reference's."""

from metrics.contract import Metric, Value


def _compute(utterance, settings) -> Value:
    reference, estimate = (abs(utterance.wave(role, 16000)).max() for role in ("reference", "estimate"))
    return Value(float(estimate - reference))


METRICS = (
    Metric(
        name="peak_error", compute=_compute, definition="Estimate's largest magnitude minus the reference's.", unit="1",
        range="-1 to 1", higher=False, rate="16 kHz", source="own definition", pitfalls="One sample decides.",
        version="1",
    ),
)
'''
CARD = """title: Halver
tasks: [enhancement]
provenance: ours
stands_for: not in the paper
source: this repository
licence: MIT
"""
ADAPTER = '''"""Half of the source."""

from speechbase.systems.contract import Baseline


class Adapter(Baseline):
    def load(self, device):
        pass

    def run(self, item):
        return item.wave("source") / 2, item.rate_hz
'''
CHECKPOINT = """  roads:
    title: Another checkpoint
    rate_hz: 16000
    weights: [{file: another.ckpt, url: "https://example.org/another.ckpt"}]
"""


def put(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def add(path, text, after=None):
    """Insert a text after a line, at the end by default."""
    old = path.read_text()
    head, line, tail = old.partition(after) if after else (old, "", "")
    assert line or not after, f"{path} has no line {after!r}"
    path.write_text(head + line + text + tail)


def add_to_table(copy, key, entry):
    preset = yaml.safe_load((copy / TABLE).read_text())
    preset[key].append(entry)
    (copy / TABLE).write_text(yaml.safe_dump(preset, sort_keys=False))


def a_table(copy):
    put(copy / TABLE, yaml.safe_dump(PRESET, sort_keys=False))


def a_metric(copy):
    put(copy / "metrics" / "peak_error.py", METRIC)
    add(copy / "config" / "base.yaml", "    peak_error: peak_error\n", after="    pesq: pesq\n")
    add_to_table(copy, "metrics", {"role": "peak_error", "label": "Peak", "better": "lower", "digits": 2})
    put(copy / "docs" / "metrics.md", command(copy, "-m", "metrics", "docs"))


def a_compared_method(copy):
    for name, text in (("__init__.py", ""), ("card.yaml", CARD), ("adapter.py", ADAPTER)):
        put(copy / "baselines" / "halver" / name, text)
    add(copy / "workflow" / "systems.yaml", "halver: {method: halver}\n")
    add_to_table(copy, "rows", {"system": "halver", "label": "Halver"})


def a_checkpoint(copy):
    add(copy / "baselines" / "storm" / "card.yaml", CHECKPOINT)
    add(copy / "workflow" / "systems.yaml", "storm_roads: {method: storm, checkpoint: roads}\n")
    add_to_table(copy, "rows", {"system": "storm_roads", "label": "StoRM, another checkpoint"})


def a_scale(copy):
    smoke = (copy / "config" / "smoke.yaml").read_text()
    put(copy / "config" / "roads.yaml", smoke.replace("scale: smoke", "scale: roads"))


def a_model(copy):
    entry = "  second: {base: multitask, training: {steps: 20}}\n"
    add(copy / "config" / "roads.yaml", entry, after="  multitask: {training: {accumulate: 2}}\n")


def a_task(copy):
    """Dereverberation: a test set is made as enhancement's, whose target is the clean speech."""
    add(copy / "speechbase" / "items.py", '        Task("dereverberation"),\n', after='        Task("enhancement"),\n')
    maker = '    "dereverberation": _enhancement,\n'
    add(copy / "speechbase" / "corpus" / "testset.py", maker, after='    "enhancement": _enhancement,\n')
    term = '        TrainedTask("dereverberation", 1.0, 0.1),\n'
    add(copy / "speechop" / "tasks.py", term, after='        TrainedTask("acoustic_matching", 1.0, 0.9),\n')
    tested = (
        "    dry: {task: dereverberation, split: test, size: 2, "
        "degradation: {noise: {probability: 1, snr_db: [5, 20]}}}\n"
    )
    add(copy / "config" / "roads.yaml", tested, after="    edit: {size: 2}\n")


ROADS = {
    "a table": a_table,
    "a metric": a_metric,
    "a compared method": a_compared_method,
    "a checkpoint": a_checkpoint,
    "a scale": a_scale,
    "a model": a_model,
    "a task": a_task,
}


def named():
    """Road -> the files and folders that the README names for it, as patterns."""
    section = (ROOT / "README.md").read_text().partition("## Roads")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| a ")]
    return {road: [pattern(place) for place in re.findall(r"`([^` ]*/[^` ]*)`", places)] for road, places in rows}


def pattern(place):
    """`baselines/<method>/` as an expression: a name for <...>, anything below a folder."""
    return re.sub(r"<\w+>", "[a-z0-9_]+", place.replace(".", r"\.")) + (".+" if place.endswith("/") else "")


def command(copy, *arguments):
    done = run(copy, sys.executable, *arguments, PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked():
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True)
    return [Path(name) for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def contents(copy):
    """Every file that git would keep, as it stands."""
    files = [path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(copy)): path.read_bytes() for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A copy of the repository with every road walked, and by road the files that this took."""
    copy = tmp_path_factory.mktemp("roads")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).stat().st_size > LARGE:
            (copy / name).symlink_to(ROOT / name)
        else:
            shutil.copy(ROOT / name, copy / name)
    changed, before = {}, contents(copy)
    for road, walk in ROADS.items():
        walk(copy)
        after = contents(copy)
        changed[road] = sorted(name for name in after if after[name] != before.get(name))
        before = after
    return copy, changed


def test_each_road_takes_the_files_that_the_readme_names(walked):
    _, changed = walked
    places = named()
    assert set(places) == set(ROADS)
    for road, files in changed.items():
        strange = [file for file in files if not any(re.fullmatch(place, file) for place in places[road])]
        unused = [place for place in places[road] if not any(re.fullmatch(place, file) for file in files)]
        assert files and not strange and not unused, (road, strange, unused)


def test_what_was_added_is_planned(walked):
    copy, _ = walked
    targets = ("results/roads/mine.csv", "models/roads/second/model.safetensors", "data/roads/testsets/dry.csv")
    done = snakemake(copy, "-n", "-p", "--cores", 1, "--config", "scale=roads", "--", *targets, PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stdout + done.stderr
    planned = " ".join(done.stdout.split())
    for part in (
        "workflow.tables.build --preset workflow/presets/roads/mine.yaml",
        "results/roads/scores/se/halver/peak_error.jsonl",
        "baselines run halver --manifest data/roads/testsets/se.csv",
        "baselines run storm --checkpoint roads",
        "speechbase.training multitask --name second --models models/roads",
        "speechbase.corpus.corpus testset dry",
    ):
        assert part in planned, (part, done.stdout)


def test_new_networks_have_the_task_and_shipped_ones_do_without(walked):
    copy, _ = walked
    code = "from speechop.settings import NetworkConfig; from speechop.model.loading import load_network;"
    code += "from pathlib import Path; folder = Path('speechbase/pretrained/nano/multitask');"
    code += "print(*load_network(folder)[0].config.tasks); print(*NetworkConfig().tasks)"
    shipped, new = command(copy, "-c", code).splitlines()
    assert "dereverberation" not in shipped and new.split() == [*shipped.split(), "dereverberation"]


def test_the_method_runs_and_the_metric_judges_it(walked):
    copy, _ = walked
    code = "import numpy as np; from speechbase import audio; from pathlib import Path;"
    code += "wave = np.sin(np.arange(16000) / 9).astype('float32') / 2;"
    code += "[audio.write(Path(f'here/{name}.wav'), wave, 16000) for name in ('source', 'reference')]"
    header = "id,task,rate_hz,text,source,reference\n"
    put(copy / "here" / "set.csv", header + "a,enhancement,16000,hello,source.wav,reference.wav\n")
    command(copy, "-c", code)
    command(copy, "-m", "baselines", "run", "halver", "--manifest", "here/set.csv", "--out", "here/out")
    judge = ("score", "--manifest", "here/set.csv", "--index", "here/out/index.csv", "--metrics", "peak_error")
    command(copy, "-m", "metrics", *judge, "--out", "here/scores")
    (row,) = read_jsonl(copy / "here" / "scores" / "peak_error.jsonl")
    assert row["status"] == "ok" and row["value"] == pytest.approx(-0.25, abs=1e-4)
