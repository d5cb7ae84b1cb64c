"""Weights by scale, folder and hub id: found offline, exported whole, never pickled; the library's examples run."""

import doctest
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import speechop
from speechbase.files import UserError
from speechop import export, pipeline
from speechop.jobs import Job
from speechop.pipeline import SpeechOp
from speechop.recordings import Recording
from tests.speechop.test_recordings import RATE, noise

HOW = {"steps": 2, "precision": "fp32"}


@pytest.fixture
def hub(models, tmp_path, monkeypatch):
    """A local cache of the hub that holds our models as tests/tiny."""
    exported = tmp_path / "exported"
    SpeechOp(models).save_pretrained(exported)
    repository = tmp_path / "cache/models--tests--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    exported.rename(repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_exported_folder_gives_the_same_and_holds_nothing_else(models, tmp_path):
    done = CliRunner().invoke(export_app(), ["--models", str(models), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"README.md", "config.json"} | {
        f"{m}/{f}" for m in ("codec", "multitask") for f in ("config.json", "model.safetensors")
    }
    root = json.loads((tmp_path / "out/config.json").read_text())
    assert root["model"] == "multitask" and root["rate_hz"] == RATE and str(tmp_path) not in json.dumps(root)
    card = (tmp_path / "out/README.md").read_text()
    assert root["sha256"]["codec"] in card and "consent" in card and str(tmp_path) not in card
    wave = noise(0.5)
    first, second = (SpeechOp.from_pretrained(f).enhance(wave, RATE, **HOW) for f in (models, tmp_path / "out"))
    np.testing.assert_array_equal(first, second)
    again = CliRunner().invoke(export_app(), ["--models", str(models), "--out", str(tmp_path / "out")])
    assert again.exit_code == 2 and "not empty" in again.output + again.stderr


def export_app():
    import typer

    app = typer.Typer()
    app.command()(export.main)
    return app


def test_a_hub_id_is_taken_from_the_cache_and_the_network_left_alone(hub, models, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    model = SpeechOp.from_pretrained("tests/tiny", cache_dir=hub)
    wave = noise(0.5)
    np.testing.assert_array_equal(model.enhance(wave, RATE, **HOW), SpeechOp(models).enhance(wave, RATE, **HOW))
    with pytest.raises(UserError, match="--download"):
        SpeechOp.from_pretrained("tests/none", cache_dir=hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        SpeechOp.from_pretrained("tests/none", cache_dir=hub, local_files_only=False)


def test_pickled_weights_are_refused(models, tmp_path):
    folder = tmp_path / "evil/multitask"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickled"):
        SpeechOp.from_pretrained(tmp_path / "evil")
    with pytest.raises(UserError, match=r"no model.*nano"):
        SpeechOp.from_pretrained("nowhere")
    with pytest.raises(UserError, match="kind 'sepformer'"):
        SpeechOp.from_pretrained("nano", "sepformer")


def test_many_recordings_in_one_call_and_torch_as_well_as_numpy(models):
    model = SpeechOp(models)
    waves = [noise(0.4 + i / 10, seed=i) for i in range(3)]
    jobs = [Job(str(i), "enhancement", Recording.of(wave, RATE)) for i, wave in enumerate(waves)]
    jobs.insert(1, Job("bad", "enhancement", lambda: Recording.of(noise(0.05), RATE)))
    done = list(model.answer(jobs, **HOW))
    assert [one.job.name for one in done] == ["0", "bad", "1", "2"] and "too short" in done[1].error
    for wave, one in zip(waves, (done[0], *done[2:]), strict=True):
        np.testing.assert_allclose(one.wave, model.enhance(torch.from_numpy(wave), RATE, **HOW), atol=1e-3)


def test_lines_that_were_heard_can_be_mended_and_given_back(models):
    model = SpeechOp(models)
    wave = noise(0.5)
    (line,) = model.listen(wave, RATE, lambda part, rate: {"text": "Ten boxes", "words": []})
    assert (line.start, line.end, line.text) == (0.0, 0.5, "Ten boxes")
    heard = model.enhance(wave, RATE, transcribe=lambda part, rate: "Ten boxes", **HOW)
    np.testing.assert_array_equal(heard, model.enhance(wave, RATE, transcript=[line], **HOW))
    line.text = "nine foxes"
    assert np.abs(heard - model.enhance(wave, RATE, transcript=[line], **HOW)).max() > 1e-4


def test_every_example_of_the_library_runs():
    given = {"model": SpeechOp.from_pretrained("nano"), "noisy": noise(1.0, 22_050), "prompt": noise(0.6, 22_050)}
    outcome = doctest.testmod(pipeline, extraglobs=given)
    assert outcome.attempted and not outcome.failed
    for task in ("enhance", "separate", "isolate", "match_acoustics", "listen", "tts", "edit", "answer"):
        assert f"model.{task}(" in getattr(SpeechOp, task).__doc__, f"{task} has no example"


def test_the_library_is_imported_without_what_only_some_calls_need():
    """Torch takes more than a second, and nobody should wait for as much again."""
    slow = ("torchaudio", "huggingface_hub", "requests", "scipy", "pyloudnorm", "transformers", "typer", "rich",
            "pysubs2", "matplotlib", "accelerate", "sklearn", "torch._dynamo")  # fmt: skip
    script = f"import sys; from speechop import SpeechOp; print([name for name in {slow} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_package_is_imported_without_its_models():
    script = "import sys, speechop, speechop.cli; print('torch' in sys.modules, 'huggingface_hub' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "False"], "the command line's help waits for torch"
    assert speechop.SpeechOp is SpeechOp
    with pytest.raises(AttributeError):
        _ = speechop.nothing
