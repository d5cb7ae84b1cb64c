"""The whole road from nothing, at the smoke scale: corpora, models, audio, transcripts, scores, Table 3."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from speechbase import audio
from speechbase.files import read_jsonl, sha256
from tests.workflow.conftest import SMOKE, TABLE, run, snakemake
from workflow.record.provenance import read_record

pytestmark = pytest.mark.end_to_end


def test_every_cell_is_measured_on_every_utterance(made):
    table = pd.read_csv(made / "results/smoke/table3.csv")
    ours = table[table["n_expected"].notna()]
    assert {"noisy", "clean", "deepfilternet3", "speechop", "speechop_itc", "speechop_gold"} <= set(ours["system"])
    assert (ours["n_scored"] == ours["n_expected"]).all() and (ours["status"] == "ok").all()
    assert ours["value"].notna().all() and (ours["low"] <= ours["high"]).all()
    paper = table[table["provenance"] == "paper"]
    assert len(paper) and paper["value"].isna().all() and paper["paper"].notna().all()
    clean = ours[ours["system"] == "clean"].set_index("metric")["value"]
    assert clean["pesq"] > 4.6 and clean["mcd"] < 0.01
    text = (made / "results/smoke/table3.md").read_text()
    assert "SpeechOp + ITC" in text and "*2.9*" in text


def test_a_second_run_plans_nothing(made):
    done = snakemake(made, *SMOKE, "-n", "--", TABLE)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr, done.stdout


def test_a_changed_setting_runs_again_only_what_depends_on_it(made):
    done = snakemake(made, *SMOKE, "seed=5", "-n", "--", TABLE)
    assert done.returncode == 0
    assert "speechop_audio" in done.stdout and "speech_table" not in done.stdout and "baseline_audio" not in done.stdout


def test_every_result_has_a_record_that_leads_back_to_the_corpus(made):
    record = read_record(made / "results/smoke/audio/se/speechop_itc/provenance.json")
    assert record["settings"]["composition"] == "tc_cfg" and record["settings"]["seed"] == 0
    assert "models/smoke/multitask/model.safetensors" in record["inputs"]
    assert record["versions"]["torch"] and record["peak_memory_mb"] > 50
    done = run(
        made, sys.executable, "-m", "workflow.record.explain", "results/smoke/table3.csv", "SpeechOp + ITC", "WER"
    )
    assert done.returncode == 0, done.stderr
    for part in (
        "value",
        "se.csv",
        "multitask/model.safetensors",
        "speech/train.csv",
        "noise.csv",
        "snakemake --cores",
    ):
        assert part in done.stdout, part
    assert "CHANGED" not in done.stdout and "is gone" not in done.stdout


def test_generated_speech_is_marked_as_synthetic(made):
    import soundfile

    for path in sorted((made / "results/smoke/audio/se/speechop").glob("*.wav")):
        with soundfile.SoundFile(path) as stream:
            assert "ynthetic" in stream.comment


def generate(made, out, **environment):
    record = read_record(made / "results/smoke/audio/se/speechop_gold/provenance.json")
    done = run(
        made,
        sys.executable,
        "-m",
        "speechop.system",
        "--manifest",
        "data/smoke/testsets/se.csv",
        "--system",
        json.dumps(record["settings"] | environment.pop("system", {})),
        "--models",
        "models/smoke",
        "--out",
        out,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    return {path.name: path for path in sorted((made / out).glob("*.wav"))}


def test_the_same_seed_gives_the_same_bytes(made):
    first = sorted((made / "results/smoke/audio/se/speechop_gold").glob("*.wav"))
    again = generate(made, "again", OMP_NUM_THREADS="1")
    assert [sha256(path) for path in first] == [sha256(path) for path in again.values()]


def test_batch_size_and_thread_count_change_audio_by_rounding_only(made):
    one = generate(made, "one", OMP_NUM_THREADS="1", system={"batch": 1, "precision": "fp32"})
    many = generate(made, "many", OMP_NUM_THREADS="2", system={"batch": 8, "precision": "fp32"})
    for name, path in one.items():
        a, b = audio.read(path)[0], audio.read(many[name])[0]
        assert np.abs(a - b).max() <= 1e-3 * max(np.abs(a).max(), 1e-3)


def test_another_seed_gives_other_audio(made):
    first, other = generate(made, "one"), generate(made, "other", system={"seed": 1})
    assert all(sha256(first[name]) != sha256(other[name]) for name in first)


def test_an_utterance_that_cannot_be_processed_is_a_row_with_its_reason(made):
    """A broken file in the test set: its system's row says so, the others are scored, and the cell says how many."""
    shutil.copytree(made / "data/smoke/testsets", made / "broken")
    manifest = pd.read_csv(made / "broken/se.csv", dtype=str, keep_default_na=False)
    (made / "broken" / manifest["source"][0]).write_bytes(b"not audio")
    done = run(
        made, sys.executable, "-m", "baselines", "run", "noisy", "--manifest", "broken/se.csv", "--out", "broken/noisy"
    )
    assert done.returncode == 0, done.stderr
    index = pd.read_csv(made / "broken/noisy/index.csv")
    assert list(index["status"] == "ok") == [False] + [True] * (len(index) - 1)
    done = run(
        made,
        sys.executable,
        "-m",
        "metrics",
        "score",
        "--manifest",
        "broken/se.csv",
        "--index",
        "broken/noisy/index.csv",
        "--metrics",
        "pesq",
        "--out",
        "broken/scores",
    )
    assert done.returncode == 0, done.stderr
    rows = read_jsonl(made / "broken/scores/pesq.jsonl")
    assert rows[0]["value"] is None and rows[0]["status"] != "ok" and all(row["status"] == "ok" for row in rows[1:])


def test_a_deleted_audio_file_is_made_again_and_nothing_else(made):
    folder = made / "results/smoke/audio/se/speechop"
    gone = folder / pd.read_csv(folder / "index.csv")["path"].iloc[0]
    content, index = gone.read_bytes(), pd.read_csv(folder / "index.csv").drop(columns="wall_s")
    gone.unlink()
    done = snakemake(made, *SMOKE, "--", TABLE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert gone.read_bytes() == content
    pd.testing.assert_frame_equal(pd.read_csv(folder / "index.csv").drop(columns="wall_s"), index)
    assert "rule baseline_audio" not in done.stdout + done.stderr
    done = snakemake(made, *SMOKE, "-n", "--", TABLE)
    assert "Nothing to be done" in done.stdout + done.stderr, done.stdout
