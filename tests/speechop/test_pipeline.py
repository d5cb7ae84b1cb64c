"""The library and the manifest runner on a tiny random model."""

import json
import re
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from speechbase import audio
from speechbase.files import UserError, read_jsonl, write_jsonl
from speechbase.settings import checked
from speechbase.systems.runner import run_manifest
from speechop import checks
from speechop.pipeline import Request, SpeechOp
from speechop.settings import Composed
from speechop.system import ComposedSpeechOp
from speechop.voice_noise import in_noise
from tests.speechop.test_cli import Heard
from workflow.plan.places import ROOT

RATE = 16_000


@pytest.fixture(scope="module")
def model(models):
    return SpeechOp(models)


def speech(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(int(seconds * rate)) * 0.1).astype(np.float32)


HOW = {"steps": 2, "precision": "fp32"}


@pytest.mark.parametrize("rate,seconds", [(8_000, 0.7), (16_000, 1.013), (44_100, 0.5), (192_000, 0.3)])
def test_any_rate_and_length_come_back(model, rate, seconds):
    wave = speech(seconds, rate)
    out = model.enhance(wave, rate, **HOW)
    assert out.shape == wave.shape and out.dtype == np.float32 and np.isfinite(out).all()


def test_every_task_answers(model):
    wave, prompt = speech(0.8), speech(0.5, seed=1)
    assert len(model.enhance(wave, RATE, transcript="three boxes", voice=prompt, voice_text="ten", **HOW)) == len(wave)
    assert len(model.separate(wave, RATE, prompt, transcript="ten tables", **HOW)) == len(wave)
    assert len(model.isolate(wave, RATE, "noise", **HOW)) == len(wave)
    assert len(model.match_acoustics(wave, RATE, prompt, **HOW)) == len(wave)
    assert len(model.tts("peter found ten boxes", prompt, "small", RATE, seconds=1.0, **HOW)) == RATE


def test_guidance_changes_the_result_and_the_seed_decides_it(model):
    wave = speech(0.6)
    plain, again, other = (model.enhance(wave, RATE, seed=s, **HOW) for s in (0, 0, 1))
    guided = model.enhance(wave, RATE, transcript="ten boxes", **HOW)
    np.testing.assert_array_equal(plain, again)
    assert np.abs(plain - other).max() > 1e-4 and np.abs(plain - guided).max() > 1e-4


def test_a_request_does_not_depend_on_its_batch(model):
    requests = [Request(str(i), "enhancement", source=speech(0.5 + 0.2 * i, seed=i)) for i in range(3)]
    together = model.process(requests, Composed(**HOW))
    for request, wave in zip(requests, together):
        np.testing.assert_allclose(model.process([request], Composed(**HOW))[0], wave, atol=1e-4)


def test_silence_stays_silence_and_nonsense_is_refused(model):
    assert not model.enhance(np.zeros(RATE, np.float32), RATE, **HOW).any()
    clipped = np.sign(speech(0.5)).astype(np.float32)
    assert np.isfinite(model.enhance(clipped, RATE, **HOW)).all()
    for wave, words in (
        (speech(0.05), "too short"),
        (np.full(RATE, np.nan, np.float32), "finite"),
        (np.zeros((2, RATE)), "mono"),
    ):
        with pytest.raises(UserError, match=words):
            model.enhance(wave, RATE, **HOW)
    for text, words in (("?!", "no letters"), ("a " * 900, "1799 bytes")):
        with pytest.raises(UserError, match=words):
            model.enhance(speech(0.5), RATE, transcript=text, **HOW)
    with pytest.raises(UserError, match="speech or noise"):
        model.isolate(speech(0.5), RATE, "music")
    with pytest.raises(UserError, match="too short"):
        model.separate(speech(0.5), RATE, np.zeros(0, np.float32), **HOW)
    # A prompt longer than the target is fine: it is context.
    assert len(model.separate(speech(0.4), RATE, speech(1.5), **HOW)) == int(0.4 * RATE)


def test_missing_and_unknown_things_are_named(models):
    with pytest.raises(UserError, match="no model 'multitask'"):
        SpeechOp.from_pretrained("nowhere")
    with pytest.raises(UserError, match=r"'gama' .did you mean 'gamma'"):
        checked(Composed, {"gama": 1.0}, "sampling")
    with pytest.raises(UserError, match="tc_avg"):
        checked(Composed, {"composition": "average"}, "sampling")


# -- the manifest runner -----------------------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for i in range(3):
        audio.write(tmp_path / f"{i}.flac", speech(0.5 + i / 10, seed=i), RATE)
        rows.append({"id": f"u{i}", "task": "enhancement", "rate_hz": RATE, "text": "ten boxes", "source": f"{i}.flac",
                     "reference": f"{i}.flac", "prompt": "0.flac", "prompt_text": "three"})  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "set.csv", index=False)
    return tmp_path / "set.csv"


def run(manifest, models, out, transcripts=None, **system):
    values = {"model": "multitask", "transcript": "none", "composition": "none", "voice": False, **HOW, **system}
    heard = {row["id"]: row for row in read_jsonl(transcripts)} if transcripts else {}
    run_manifest(ComposedSpeechOp("speechop", values, models, heard), manifest, out)
    return pd.read_csv(out / "index.csv", keep_default_na=False)


def test_an_edit_s_recording_is_enhanced_first_where_the_system_says_so(model, models, tmp_path):
    heard = speech(1.0)
    audio.write(tmp_path / "0.flac", heard, RATE)
    row = {"id": "u0", "task": "edit", "rate_hz": RATE, "text": "one four three", "source": "0.flac",
           "orig_text": "one two three", "orig_span": "1", "new_span": "1", "edit_type": "substitution"}  # fmt: skip
    pd.DataFrame([row]).to_csv(tmp_path / "set.csv", index=False)
    words = [{"word": word, "start": 0.3 * n + 0.1, "end": 0.3 * n + 0.3} for n, word in enumerate(("one", "two"))]
    write_jsonl(tmp_path / "words.jsonl", [{"id": "u0", "status": "ok", "words": words}])
    (enhanced,) = model.process([Request("u0", "enhancement", source=heard)], checked(Composed, HOW, "how"))
    for denoised, kept in ((False, heard), (True, enhanced)):
        out = tmp_path / str(denoised)
        assert run(tmp_path / "set.csv", models, out, tmp_path / "words.jsonl", denoised=denoised)["status"][0] == "ok"
        np.testing.assert_allclose(audio.read(out / "u0.wav")[0][:1600], kept[:1600], atol=1e-3)
    assert np.abs(heard - enhanced)[:1600].max() > 0.01


def test_manifest_runner_writes_every_row_and_goes_on_where_it_stopped(manifest, models, tmp_path, monkeypatch):
    out = tmp_path / "out"
    index = run(manifest, models, out)
    assert index["id"].tolist() == ["u0", "u1", "u2"] and set(index["status"]) == {"ok"}
    assert "Synthetic" in __import__("soundfile").SoundFile(out / "u0.wav").comment
    first = {p.name: p.read_bytes() for p in out.glob("*.wav")}
    (out / "u1.wav").write_bytes(b"torn")
    made = []
    process = SpeechOp.process
    monkeypatch.setattr(
        SpeechOp,
        "process",
        lambda self, requests, how: made.extend(r.id for r in requests) or process(self, requests, how),
    )
    run(manifest, models, out)
    assert {p.name: p.read_bytes() for p in out.glob("*.wav")} == first
    run(manifest, models, out, seed=3)
    assert sorted(made[3:]) == ["u0", "u1", "u2"], "another system makes all of them again"


def test_what_cannot_be_made_is_a_row_with_its_reason(manifest, models, tmp_path):
    transcripts = tmp_path / "t.jsonl"
    rows = [
        {"id": "u0", "text": "Ten boxes!", "words": [], "status": "ok"},
        {"id": "u1", "text": "", "words": [], "status": "unreadable"},
    ]
    transcripts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = run(manifest, models, tmp_path / "out", transcripts, transcript="asr", composition="tc_cfg")
    assert index["status"].tolist() == ["ok", "failed", "failed"]
    assert "unreadable" in index["detail"][1] and "not transcribed" in index["detail"][2]
    (manifest.parent / "0.flac").write_bytes(b"RIFF nothing")
    index = run(manifest, models, tmp_path / "out2")
    assert index["status"].tolist() == ["failed", "ok", "ok"] and "0.flac" in index["detail"][0]


def test_guided_runs_differ_from_plain_ones_and_voices_from_none(manifest, models, tmp_path):
    outs = {
        "plain": run(manifest, models, tmp_path / "a"),
        "gold": run(manifest, models, tmp_path / "b", transcript="gold", composition="tc_cfg"),
        "average": run(manifest, models, tmp_path / "c", transcript="gold", composition="tc_avg"),
        "voice": run(manifest, models, tmp_path / "d", transcript="gold", composition="tc_cfg", voice=True),
    }
    assert len({table["sha256"][0] for table in outs.values()}) == 4
    chunked = run(manifest, models, tmp_path / "e", chunk_seconds=0.2)
    assert set(chunked["status"]) == {"ok"} and chunked["seconds"].tolist() == outs["plain"]["seconds"].tolist()


def test_a_voice_s_copy_in_the_source_may_be_noisy(manifest, models, tmp_path):
    asked = {"transcript": "gold", "composition": "tc_cfg", "voice": True, "voice_in": ["source"]}
    clean, noisy, barely = (
        run(manifest, models, tmp_path / str(snr), voice_snr_db=snr, **asked)["sha256"] for snr in (None, 5.0, 300.0)
    )
    assert (clean != noisy).all() and (clean == barely).all()
    asked |= {"voice_in": ["tts"]}
    deaf = [run(manifest, models, tmp_path / f"t{snr}", voice_snr_db=snr, **asked) for snr in (None, 5.0)]
    assert (deaf[0]["sha256"] == deaf[1]["sha256"]).all(), "the text term has no source"


def test_noise_over_a_voice_has_the_level_that_is_asked_for_and_the_source_s_colour():
    rng = np.random.default_rng(0)
    low = np.cumsum(rng.standard_normal(8000)) * 1e-3  # brown
    voice = rng.standard_normal(8000).astype(np.float32) * 0.1
    noise = in_noise(voice, low, 10.0, 1) - voice
    assert 10 * np.log10(np.mean(voice**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[:400].sum() > 20 * power[-400:].sum()
    assert np.isfinite(in_noise(voice, np.zeros(100), 10.0, 1)).all()


def test_confidences_decide_who_is_guided(manifest, models, tmp_path):
    def heard(path, confidence):
        words = [{"word": w, "start": 0.0, "end": 0.1, **confidence} for w in ("ten", "boxes")]
        rows = [{"id": f"u{i}", "text": "ten boxes", "words": words, "status": "ok"} for i in range(3)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    asked = {"transcript": "asr", "composition": "tc_cfg", "trust": {"gamma": [[0.5, 1.5], [0.9, 3.0]]}}
    plain = run(manifest, models, tmp_path / "plain")["sha256"]
    made = {}
    for level in (0.2, 0.7, 0.95):
        told = heard(tmp_path / "t", {"confidence": level})
        made[level] = run(manifest, models, tmp_path / str(level), told, **asked)["sha256"]
    itc = {"transcript": "asr", "composition": "tc_cfg", "gamma": 3.0}
    assert (made[0.2] == plain).all() and (made[0.7] != plain).all()
    assert (made[0.95] == run(manifest, models, tmp_path / "itc", tmp_path / "t", **itc)["sha256"]).all()
    with pytest.raises(UserError, match="without confidences"):
        run(manifest, models, tmp_path / "x", heard(tmp_path / "t", {}), **asked)


def test_the_codec_alone_gives_back_the_reference_and_not_the_source(manifest, models, model, tmp_path):
    table = pd.read_csv(manifest)
    audio.write(tmp_path / "noisy.flac", speech(0.5, seed=9), RATE)
    table.loc[0, "source"] = "noisy.flac"
    table.loc[2, "reference"] = None
    table.to_csv(manifest, index=False)
    index = run(manifest, models, tmp_path / "out", codec_only=True)
    assert index["status"].tolist() == ["ok", "ok", "failed"] and "no reference" in index["detail"][2]
    clean, _ = audio.read(tmp_path / "0.flac", RATE)
    written, _ = audio.read(tmp_path / "out/u0.wav", RATE)
    assert len(written) == len(clean) and np.abs(written - model.round_trip(clean)).max() < 1e-3
    assert np.corrcoef(model.round_trip(clean), model.round_trip(speech(0.5, seed=9)))[0, 1] < 0.9


def test_torch_state_is_not_needed(models):
    """Loading must not depend on the global generator: two loads are equal."""
    torch.manual_seed(1)
    first = SpeechOp(models)
    torch.manual_seed(2)
    second = SpeechOp(models)
    wave = speech(0.5)
    np.testing.assert_array_equal(first.enhance(wave, RATE, **HOW), second.enhance(wave, RATE, **HOW))


def test_the_guide_s_examples_of_the_library_run(models, monkeypatch, tmp_path):
    """What stands in docs/use.md, line by line, with a small model and what the examples are given."""

    def small(*_):
        model = SpeechOp(models)
        model.config["sampling"] = {"steps": 2}
        return model

    monkeypatch.setattr(SpeechOp, "from_pretrained", small)
    monkeypatch.setattr(checks, "phones_of", lambda text, name: len(text))
    section = (ROOT / "docs/use.md").read_text().split("## The library\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", section, re.MULTILINE)
    code = "\n".join(textwrap.dedent(block) for block in blocks)
    paths = [tmp_path / f"{name}.wav" for name in "ab"]
    for path in paths:
        audio.write(path, speech(0.5), RATE)
    wave = speech(1.0)
    given = {"noisy": wave, "mixture": wave, "recording": wave, "prompt": wave, "rate_hz": RATE, "recogniser": Heard()}
    given |= {"paths": paths}
    exec(code, given)
    assert len(given["clean"]) == len(given["voice"]) == len(given["noise"]) == len(given["hall"]) == len(wave)
    assert given["lines"][0].guide == "ten boxes" and len(given["speech"]) and len(given["edited"])
    assert not given["done"].error and given["done"].job.name == str(paths[1])
