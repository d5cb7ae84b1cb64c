"""The paper's scale as a whole: the rules' plan, the profiles, the launcher, the doctor and the cost."""

import functools
import http.server
import subprocess
import sys
import threading
import zipfile
from types import SimpleNamespace

import pytest
import yaml

from speechbase.files import UserError, read_json, write_json
from speechbase.recorded.settings import Recorded
from speechbase.settings import checked
from tests.workflow.conftest import link_sources, snakemake
from workflow.cluster import doctor, launch, plan
from workflow.plan import configuration
from workflow.plan.places import ROOT

SNAKEFILE = """
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from workflow.plan import places
from workflow.plan.sources import code_of
SCALE = "paper"
pathvars:
    data="data/paper", models="models/paper", results="results/paper", logs="logs/paper", benchmarks="benchmarks",
include: {rules!r}
rule codec:
    output: "models/paper/codec/model.safetensors"
    shell: "false"
"""


def config():
    return configuration.resolve({"scale": "paper"})


PROFILES = ROOT / "profiles"


def run_rules(tmp_path, *targets, change=lambda recorded: None, options=("-n", "--quiet", "rules", "--cores", "1")):
    """Snakemake, dry by default, over the paper's rules alone: (output, jobs by rule)."""
    settings = config()
    settings["corpus"]["recorded"]["shard_parts"] = 3
    change(settings["corpus"]["recorded"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "Snakefile").write_text(
        SNAKEFILE.format(root=str(ROOT), rules=str(ROOT / "workflow" / "rules" / "paper.smk"))
    )
    for folder in ("workflow", "speechop", "speechbase", "baselines", "metrics"):
        if not (tmp_path / folder).exists():
            (tmp_path / folder).symlink_to(ROOT / folder)
    command = [sys.executable, "-m", "snakemake", *targets, "--configfile", "config.yaml", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = done.stdout + done.stderr
    return said, counted(said)


def counted(said):
    """Jobs by rule, as Snakemake lists them."""
    lines = [line.split() for line in said.splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.mark.slow
def test_the_whole_experiment_is_planned_from_nothing(tmp_path):
    """All tables; nine models (three stages, the six of Figure 2 and Table 10), which wait for shards and latents."""
    target = ("-n", "-p", "--configfile", "config/paper.yaml", "--cores", "1", "all")
    done = snakemake(link_sources(tmp_path), *target)
    jobs, said = counted(done.stdout), done.stdout
    expected = {
        "trained_model": 9,
        "latents": 64,
        "speech_shards": 3 * 64,
        "corpus_archive": 30,
        "recorded_test_set": 5,
    }
    assert {rule: jobs.get(rule) for rule in expected} == expected, done.stderr
    assert "-- python -m workflow.cluster.launch -- speechbase.training multitask --name multitask" in said
    stage1 = next(block for block in said.split("\n\n") if "output: models/paper/tts/model.safetensors" in block)
    assert "data/paper/shards/tts/.encoded/63.done" in stage1 and "data/paper/shards/valid/.written/0.done" in stage1


@pytest.mark.slow
def test_a_dry_run_plans_every_step_from_nothing(tmp_path):
    said, jobs = run_rules(tmp_path, "paper_data")
    assert jobs == {
        "corpus_archive": 30,
        "corpus": 14,
        "recorded_part": 8 + 3,
        "recorded_speech": 3,
        "recorded_sounds": 2,
        "recorded_word_times": 2,
        "recorded_test_set": 5,
        "speech_shards": 3,
        "paper_data": 1,
        "total": 71,
    }, said
    options = ("-n", "--profile", str(PROFILES / "slurm"))
    said, jobs = run_rules(tmp_path, "data/paper/shards/tts/.encoded/0.done", options=options)
    assert jobs["latents"] == 1 and jobs["speech_shards"] == 3 and jobs["codec"] == 1, said
    latents = said[said.index("rule latents:") :].split("\n\n")[0]
    assert "slurm_partition=gpu" in latents and "gpu=1" in latents and "runtime=1440" in latents, latents


@pytest.mark.slow
def test_corpora_that_the_user_has_are_neither_fetched_nor_unpacked(tmp_path):
    (tmp_path / "mine").mkdir()

    def own(recorded):
        recorded["have"] = dict.fromkeys(plan.corpora_used(recorded), "mine") | {"wsj0_2mix": "mine"}
        recorded["testsets"]["sep_wsj0"] = {"from": "wsj0_2mix"}

    said, jobs = run_rules(tmp_path, "paper_data", change=own)
    assert "corpus" not in jobs and "corpus_archive" not in jobs and jobs["recorded_test_set"] == 6, said


@pytest.mark.slow
def test_a_licence_bound_set_explains_what_to_buy(tmp_path):
    def bound(recorded):
        recorded["testsets"]["sep_wsj0"] = {"from": "wsj0_2mix"}

    said, _ = run_rules(tmp_path, "data/paper/testsets/sep_wsj0.csv", change=bound)
    assert "LDC93S6A" in said


@pytest.mark.slow
def test_the_rules_fetch_and_unpack_from_a_mirror_once(tmp_path):
    folder = tmp_path / "mirror" / "echothief"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "EchoThiefImpulseResponseLibrary.zip", "w") as stream:
        stream.writestr("EchoThiefImpulseResponseLibrary/Caves/a.wav", b"x")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def mirror(recorded):
            recorded["mirror"] = f"http://127.0.0.1:{server.server_port}"

        said, _ = run_rules(tmp_path, "corpora/echothief.json", change=mirror, options=("--cores", "1"))
        server.shutdown()
    assert (tmp_path / "corpora" / read_json(tmp_path / "corpora" / "echothief.json")["folders"][0]).is_dir(), said
    said, _ = run_rules(tmp_path, "corpora/echothief.json", change=mirror, options=("--cores", "1"))
    assert "Nothing to be done" in said


def test_the_recorded_section_is_checked():
    recorded = config()["corpus"]["recorded"]
    checked(Recorded, recorded, "x")
    for change in (
        {"folders": "x"},
        {"noise": ["fan"]},
        {"testsets": {"a": {"from": "vctk"}}},
        {"speech": {"train": {}}},
    ):
        with pytest.raises(UserError):
            checked(Recorded, recorded | change, "x")


def test_profiles_are_read_and_commented():
    for path in sorted(PROFILES.glob("*/profile.yaml")):
        lines = path.read_text().splitlines()
        entries = list(yaml.safe_load("\n".join(lines)))
        assert entries, path
        for entry in entries:
            at = next(n for n, line in enumerate(lines) if line.startswith(f"{entry}:"))
            before = at - 1
            while before >= 0 and lines[before] and not lines[before].startswith("#"):
                before -= 1  # entries of one block share its comment
            assert before >= 0 and lines[before].startswith("#"), f"{path}: {entry} has no comment"


def submit(rule):
    """What the SLURM plugin would hand to sbatch for a rule's job under our profile."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    profile = yaml.safe_load((PROFILES / "slurm" / "profile.yaml").read_text())
    given = profile["default-resources"] | profile["set-resources"].get(rule, {})
    given = {key: value.strip("'") if isinstance(value, str) else value for key, value in given.items()}

    class Resources(dict):
        __getattr__ = dict.get

    job = SimpleNamespace(resources=Resources(given), threads=1, name=rule, is_group=lambda: False)
    params = {"run_uuid": "u", "slurm_logfile": "l", "comment_str": rule, "workdir": "."}
    params |= {"account": f"-A {given['slurm_account']}", "partition": f"-p {given['slurm_partition']}"}
    return get_submit_command(job, params) + set_gres_string(job)


def test_the_slurm_profile_asks_for_nodes_gpus_and_an_early_signal():
    training = submit("trained_model")
    for part in ("--nodes=4", "--ntasks=4", "--gpus=32", "--gpus-per-node=8", "--signal=TERM@300", "-t 1380", "-p gpu"):
        assert part in training, training
    assert "ntasks-per-gpu" not in training
    plain = submit("recorded_part")
    assert "--gpus" not in plain and "-p cpu" in plain and "--ntasks=1" in plain and "--mem 4000" in plain


@pytest.mark.slow
def test_the_workstation_profile_runs_a_job(tmp_path):
    (tmp_path / "Snakefile").write_text(
        "rule one:\n    output: 'a'\n    resources: gpu=1\n    shell: 'touch {output}'\n"
    )
    profile = str(PROFILES / "workstation")
    command = [sys.executable, "-m", "snakemake", "--profile", profile]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "a").exists(), done.stderr


def test_the_launcher_fits_what_was_allotted():
    module = ["speechbase.training", "tts", "--config", '{"a": 1}']

    def host(nodes):
        assert nodes == "gpu[3-6]"
        return "gpu3"

    assert launch.build(module, {}, 0, host) == [sys.executable, "-m", *module]
    one = launch.build(module, {"SLURM_NNODES": "1"}, 8, host)
    assert one[:2] == ["accelerate", "launch"] and one[one.index("--num_processes") + 1] == "8" and one[-4:] == module
    slurm = {"SLURM_NNODES": "4", "SLURM_JOB_ID": "20017", "SLURM_JOB_NODELIST": "gpu[3-6]"}
    several = launch.build(module, slurm, 8, host)
    assert several[:5] == ["srun", "--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    inner = several[-1]
    assert "--num_processes 32" in inner and "--main_process_ip gpu3 --main_process_port 20017" in inner
    assert "--machine_rank $SLURM_NODEID" in inner and """'{"a": 1}'""" in inner


def test_the_doctor_tells_states_and_the_next_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config()
    recorded = settings["corpus"]["recorded"]
    (tmp_path / "mine").mkdir()
    recorded["have"] = {"librispeech": "mine", "daps": "gone"}
    write_json(tmp_path / "corpora" / "mit_ir.json", {"folders": []})
    archives = tmp_path / "corpora" / "archives"
    write_json(archives / "realedit" / "RealEdit.txt.verified.json", {"bytes": 1})
    (archives / "openslr28").mkdir()
    (archives / "openslr28" / "rirs_noises.zip.part").write_bytes(bytes(1000))
    states = {state.name: state for state in doctor.corpora_states(recorded)}
    expected = {
        "librispeech": "present",
        "daps": "error",
        "mit_ir": "unpacked",
        "realedit": "fetched",
        "openslr28": "part",
    }
    expected |= {"echothief": "missing", "wsj0_2mix": "licence"}
    assert {name: states[name].state for name in expected} == expected
    assert states["openslr28"].bytes_missing == 1311000000 - 1000
    products = doctor.product_states(settings)
    assert "paper_data" in doctor.next_command(list(states.values()), products, "c.yaml")
    done = [doctor.State(state.name, "unpacked", "") for state in states.values()]
    assert doctor.next_command(done, products, "c.yaml").endswith("data/paper/speech/train.csv")
    assert doctor.next_command(done, [], "c.yaml").endswith(" all")
    weights = {state.name: state.state for state in doctor.weights_states(settings)}
    assert weights["wavlm_large"] == "missing" and weights["noisy"] == "present" and weights["byt5-base"] == "missing"


@pytest.mark.slow
def test_the_cost_is_reckoned_on_the_papers_sizes_and_its_page_is_current():
    from speechop.settings import NetworkConfig
    from workflow.cluster import cost, scaling

    counter = cost.Counter(NetworkConfig(**config()["models"]["tts"]["network"]))
    sizes = counter.parameters()
    assert sizes["transformer"] == pytest.approx(419e6, rel=0.01) and sizes["encoder"] == pytest.approx(71e6, rel=0.02)
    per_frame = (counter.forward(1200) - counter.forward(600)) / 600
    assert 2 * 300e6 < per_frame < 2 * sizes["transformer"] * 1.3
    assert counter.forward(200, source=True) > counter.forward(200) > 0
    small = cost.Counter(NetworkConfig(**configuration.resolve({})["models"]["tts"]["network"]))
    assert small.forward(120, 40) > small.forward(120) and small.frozen(40) == 0 < counter.frozen(40)
    current = scaling.render(config()) == (ROOT / "docs" / "scaling.md").read_text()
    assert current, "run python -m workflow.cluster.scaling --out docs/scaling.md"
