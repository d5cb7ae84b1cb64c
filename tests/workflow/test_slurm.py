"""Training under a time limit that is shorter than it: the profile's jobs are told early, save, fail, and are submitted
again."""

import shutil

import pytest
import yaml

from speechbase.files import read_json, read_jsonl
from speechbase.training import checkpoint
from tests.workflow.conftest import link_sources, snakemake
from tests.workflow.stand_in_slurm import install
from workflow.plan import configuration
from workflow.plan.places import ROOT

pytestmark = pytest.mark.end_to_end
STEPS, TURNS = 300, 3


@pytest.fixture
def cluster(made, tmp_path):
    """A project with corpora and codec, a longer stage 1, and the SLURM profile cut down to one node without GPUs."""
    folder = link_sources(tmp_path)
    shutil.copytree(made / "data", folder / "data")
    shutil.copytree(made / "models/smoke/codec", folder / "models/smoke/codec")
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    kept = {"slurm_partition", "runtime", "slurm_extra", "mem_mb"}
    training = {key: value for key, value in profile["set-resources"]["trained_model"].items() if key in kept}
    training |= {"runtime": 30, "slurm_extra": "'--signal=TERM@1800'"}
    profile |= {
        "set-resources": {"trained_model": training},
        "latency-wait": 1,
        "slurm-init-seconds-before-status-checks": 1,
    }
    (folder / "slurm").mkdir()
    (folder / "slurm/profile.yaml").write_text(yaml.safe_dump(profile))
    longer = configuration.resolve({"scale": "smoke"})["models"]["tts"]["training"] | {"steps": STEPS}
    (folder / "longer.yaml").write_text(yaml.safe_dump({"models": {"tts": {"training": longer}}}))
    install(folder / "bin")
    (folder / "slurm_jobs").mkdir()
    return folder


def test_a_job_that_its_limit_ends_is_submitted_again_and_goes_on(cluster, monkeypatch):
    monkeypatch.setenv("PATH", str(cluster / "bin"), prepend=":")
    done = snakemake(
        cluster, "--profile", "slurm", "--config", "scale=smoke", "--configfile", "longer.yaml",
        "--", "models/smoke/tts/model.safetensors",
        STAND_IN_JOBS=str(cluster / "slurm_jobs"), STAND_IN_START="training:", STAND_IN_LIMITED=str(TURNS - 1),
    )  # fmt: skip
    said = done.stdout[-4000:] + done.stderr[-4000:]
    assert done.returncode == 0, said
    turns = [read_json(cluster / f"slurm_jobs/{turn + 1}.json") for turn in range(TURNS)]
    # FAILED, not TIMEOUT: each ended by itself before its limit.
    assert [turn["state"] for turn in turns] == ["FAILED"] * (TURNS - 1) + ["COMPLETED"], said
    assert all(turn["told"] for turn in turns[:-1])
    assert "stopped before the last step" in (cluster / turns[0]["output"]).read_text()
    record = read_json(cluster / "models/smoke/tts/config.json")["record"]
    rows = read_jsonl(cluster / "models/smoke/tts/curves.jsonl")
    assert record["steps"] == STEPS and [row["step"] for row in rows] == list(range(10, STEPS + 1, 10))
    checkpoint.read_model(cluster / "models/smoke/tts")
