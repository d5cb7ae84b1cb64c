import sys
import tarfile

import numpy as np
import pandas
import pytest
import soundfile

from speechbase.corpus import packed
from speechbase.files import UserError, write_json
from workflow.cluster import gpu, lanes
from workflow.plan import configuration, trainings

NANO = configuration.resolve({"scale": "nano"})
MINI = configuration.resolve({"scale": "mini"})


@pytest.mark.parametrize("model", ["tts", "multitask"])
def test_a_gpu_trains_the_scales_own_model_in_larger_batches(model):
    settings, usual = gpu.settings_for(MINI, model, 9), trainings.training_config(MINI, model)
    assert settings["network"] == usual["network"] and settings["diffusion"] == usual["diffusion"]
    assert settings["training"]["compile"] and settings["training"]["lr"] == 2 * usual["training"]["lr"]
    assert settings["batches"]["tts_seconds"] == 1024 and settings["batches"]["speed"] == usual["batches"]["speed"]
    assert ("workers" in settings["batches"]) == (model == "multitask")


def test_a_model_that_is_trained_in_runs_is_trained_as_in_its_last():
    assert "runs" not in gpu.settings_for(NANO, "tts", 2)["training"]


def test_a_semantic_encoder_is_trained_as_it_is_elsewhere():
    settings, usual = gpu.settings_for(NANO, "hubert_1", 2), trainings.training_config(NANO, "hubert_1")
    assert settings["batches"] == usual["batches"] and settings["training"]["lr"] == usual["training"]["lr"]


def test_a_plan_keeps_the_order_and_every_chain_ends_in_time():
    plan, given = gpu.plan_of(NANO, ["polyspeech", "polyspeech_decoder", "speechx_ar"], {"codec", "codec_tokens"}, 9.0)
    names = [entry["name"] for entry in plan]
    assert given == ["codec", "codec_tokens"]
    assert names.index("hubert_1") < names.index("hubert_2") < names.index("sset") < names.index("polyspeech")
    minutes = {entry["name"]: entry["minutes"] for entry in plan}
    chain = ["hubert_1", "hubert_2", "sset", "polyspeech"]
    assert sum(minutes[name] for name in chain) == pytest.approx(9.0 - 4 * gpu.START_SECONDS / 60)
    assert minutes["speechx_ar_tts"] + minutes["speechx_ar"] == pytest.approx(9.0 - 2 * gpu.START_SECONDS / 60)
    assert minutes["polyspeech_decoder"] <= minutes["polyspeech"] + 1e-9


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"no model 'codecs'.*codec"):
        gpu.plan_of(MINI, ["codecs"], set(), 1.0)


def test_weights_that_ship_are_begun_from_where_none_were_trained(tmp_path):
    shipped = gpu._place(tmp_path, "nano", "codec")
    assert shipped is not None and shipped.parent.name == "nano" and gpu._place(tmp_path, "nano", "kmeans") is None
    (tmp_path / "codec").mkdir()
    (tmp_path / "codec" / "model.safetensors").touch()
    assert gpu._place(tmp_path, "nano", "codec") == tmp_path / "codec"


def test_parts_hold_all_files_and_none_is_larger_than_a_transfer(tmp_path):
    sizes = {"data/a.npz": 600_000, "data/b.npz": 500_000, "models/codec/model.safetensors": 300_000, "plan.json": 10}
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    for _ in range(2):  # what is made again takes no earlier part along
        parts = gpu.archive(tmp_path, 1.0)
    assert len(parts) == 2 and all(path.stat().st_size <= 2**20 + 20_480 for path in parts)
    found = {}
    for path in parts:
        with tarfile.open(path) as archive:
            found |= {member.name: member.size for member in archive.getmembers()}
    assert found == sizes
    with pytest.raises(UserError, match=r"a.npz has .* MiB, more than a part"):
        gpu.archive(tmp_path, 0.5)


@pytest.fixture
def tables(tmp_path):
    """A corpus of one table, one noise and one room."""
    time = np.arange(16_000) / 16_000
    rows = []
    for number in range(3):
        path = f"audio/train/v/{number}.flac"
        (tmp_path / "speech" / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "speech" / path, 0.3 * np.sin(2 * np.pi * 220 * (number + 1) * time), 16_000)
        rows.append({"id": str(number), "speaker": "v", "base": "v", "sex": "f", "split": "train", "text": "three",
                     "path": path, "rate_hz": 16_000, "seconds": 1.0, "phones": 3, "sha256": ""})  # fmt: skip
    pandas.DataFrame(rows).to_csv(tmp_path / "speech" / "train.csv", index=False)
    for name in ("noise", "rir"):
        soundfile.write(tmp_path / f"{name}.flac", np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000)
        pandas.DataFrame([{"id": name, "split": "train", "path": f"{name}.flac"}]).to_csv(tmp_path / f"{name}.csv")
    return tmp_path


def test_packed_tables_sound_alike_and_are_decoded_once(tables, tmp_path):
    out = tmp_path / "packed"
    assert packed.tables(tables, out, ["train"], 16_000) == pytest.approx(3 / 3600)
    assert packed.decoded(out, 2) == 3 and packed.decoded(out, 2) == 0
    rows = pandas.read_csv(out / "speech" / "train.csv")
    for row in rows.itertuples():
        clean, _ = soundfile.read(tables / "speech" / row.path.replace(".wav", ".flac"))
        wave, rate_hz = soundfile.read(out / "speech" / row.path)
        assert rate_hz == 16_000 and np.corrcoef(clean[:15_000], wave[:15_000])[0, 1] > 0.95
    assert not list(out.rglob("*.ogg.*")) and (out / "noise.ogg").is_file() and (out / "rir.flac").is_file()


TRAINING = """#!{python}
import signal, sys, time
from pathlib import Path
words = sys.argv[1:]
name, folder = words[words.index("--name") + 1], Path(words[words.index("--state") + 1]).parent
with (folder / "order.txt").open("a") as order:
    order.write(name + "\\n")
if name == "broken":
    sys.exit("no memory")
if name == "slow":
    signal.signal(signal.SIGTERM, lambda *_: (print("kept"), sys.exit(0)))
    time.sleep(60)
"""


def _folder(tmp_path, monkeypatch, **after):
    """A plan of trainings that only say that they ran: one is broken, one does not end."""
    stand_in = tmp_path / "training"
    stand_in.write_text(TRAINING.format(python=sys.executable))
    stand_in.chmod(0o755)
    monkeypatch.setattr(lanes.sys, "executable", str(stand_in))
    plan = [{"name": name, "kind": "tts", "after": before, "minutes": 1.0} for name, before in after.items()]
    write_json(tmp_path / "plan.json", plan)
    return tmp_path


def test_lanes_keep_the_order_and_go_on_beside_one_that_failed(tmp_path, monkeypatch):
    folder = _folder(tmp_path, monkeypatch, last=["first"], first=[], broken=[], never=["broken"])
    status = {lane.name: lane.status for lane in lanes.run(folder, None)}
    ran = (folder / "order.txt").read_text().split()
    assert ran.index("first") < ran.index("last") and "never" not in ran
    assert status == {"first": 0, "last": 0, "broken": 1, "never": None}
    assert "no memory" in (folder / "log" / "broken.txt").read_text()


def test_lanes_end_in_time_and_each_keeps_what_it_reached(tmp_path, monkeypatch):
    folder = _folder(tmp_path, monkeypatch, slow=[], later=["slow"])
    status = {lane.name: lane.status for lane in lanes.run(folder, 0.05)}
    assert status == {"slow": lanes.UNFINISHED, "later": None}
    assert "kept" in (folder / "log" / "slow.txt").read_text()
