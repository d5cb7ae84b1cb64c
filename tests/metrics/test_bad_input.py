"""Bad input has a defined outcome: a status, never a number and never a crash."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import soundfile

from metrics import registry, scorer, transcripts
from metrics.judges import recognisers
from metrics.utterance import Files, Rules
from tests.metrics.signals import RATE_HZ, noisy, speech_like

LIGHT = ("pesq", "mcd", "mcd_dtw", "mcd_espnet_16k", "si_sdr", "log_mel", "duration_error", "rate_error")
SIGNAL = ("pesq", "mcd", "mcd_dtw", "mcd_espnet_16k", "si_sdr", "log_mel")


def statuses(files: Files, names=LIGHT, **config) -> dict[str, str]:
    rows = scorer.score([files], registry.find_all(names), config)
    for (row,) in rows.values():
        json.dumps(row, allow_nan=False)
        assert (row["value"] is not None) == (row["status"] == "ok")
        assert row["status"] == "ok" or row["detail"]
    return {name: row["status"] for name, (row,) in rows.items()}


@pytest.mark.parametrize("which", ["reference", "estimate"])
def test_silence(write, clean, which):
    audible, silent = write("audible.wav", clean), write("silent.wav", np.zeros_like(clean))
    paths = {"reference": audible, "estimate": audible} | {which: silent}
    found = statuses(Files("u", **paths))
    assert {found[name] for name in SIGNAL} == {f"silent_{which}"}
    assert found["duration_error"] == "ok"


def test_a_nearly_silent_estimate_never_raises(write, clean):
    found = statuses(Files("u", reference=write("r.wav", clean), estimate=write("e.wav", 1e-4 * clean)))
    assert set(found.values()) <= {"ok", "pesq_failed"} and found["si_sdr"] in ("ok", "infinite")


def test_ten_milliseconds(write, clean):
    found = statuses(Files("u", reference=write("r.wav", clean[:160]), estimate=write("e.wav", noisy(clean[:160], 10))))
    assert found["pesq"] == found["mcd"] == found["log_mel"] == "too_short"
    assert found["si_sdr"] == found["duration_error"] == "ok"


def test_samples_that_are_not_numbers(write, clean):
    broken = clean.copy()
    broken[100] = np.nan
    found = statuses(Files("u", reference=write("r.wav", clean), estimate=write("e.wav", broken)))
    assert {found[name] for name in SIGNAL} == {"unusable_estimate"}


def test_sample_formats_agree(write, clean):
    estimate = noisy(clean, 10) / 2
    values = []
    for subtype in ("FLOAT", "PCM_24", "DOUBLE"):
        files = Files(
            "u",
            reference=write(f"r{subtype}.wav", clean, subtype=subtype),
            estimate=write(f"e{subtype}.wav", estimate, subtype=subtype),
        )
        rows = scorer.score([files], registry.find_all(SIGNAL))
        values.append([row["value"] for (row,) in rows.values()])
    assert values[0] == pytest.approx(values[2], abs=1e-6)
    assert values[0] == pytest.approx(values[1], abs=1e-3)  # 24-bit quantisation


def test_stereo_needs_a_channel(write, clean):
    reference = write("r.wav", clean)
    stereo = write("e.wav", np.stack([clean, noisy(clean, 5)], axis=1))
    assert set(statuses(Files("u", reference=reference, estimate=stereo), SIGNAL).values()) == {"unusable_estimate"}
    assert statuses(Files("u", reference=reference, estimate=stereo), ("si_sdr",), channel=0) == {"si_sdr": "infinite"}
    assert statuses(Files("u", reference=reference, estimate=stereo), ("si_sdr",), channel=1) == {"si_sdr": "ok"}


@pytest.mark.parametrize("minutes", [11, 30, 60])
def test_what_is_too_long_to_be_judged_is_said_by_its_header(tmp_path, minutes):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as stream:
        for _ in range(minutes):
            stream.write(np.zeros(60 * 8000, np.int16))
    found = statuses(Files("u", reference=path, estimate=path, text="x"))
    assert set(found.values()) == {"too_long"}
    heard = transcripts.transcribe_file(path, recognisers.resolve({"model": "whisper_base"}), Rules())
    assert heard["text"] == "" and f"{60 * minutes} s" in heard["status"]


@pytest.fixture
def stand_ins(monkeypatch):
    """Judges that are networks, replaced by what they hear."""
    from metrics import dnsmos, sim, spbs
    from metrics.judges import transformer_features, wavlm_tdcnn, whisper

    class Heard:
        def features(self, wave):
            return wave[: len(wave) // 8 * 8].reshape(-1, 8)

        def layer(self, wave, layer):
            return self.features(wave)

        def embed(self, wave):
            return wave[:800]

    for module in (transformer_features, wavlm_tdcnn, whisper):
        monkeypatch.setattr(module, "load", lambda *_: Heard())
    monkeypatch.setattr(sim, "_ge2e", lambda: Heard().embed)
    scores = {"ovrl": 1, "sig": 2, "bak": 3, "p808": 4}
    for name in ("p835", "p808"):
        monkeypatch.setattr(
            dnsmos, name, lambda *, estimate: {k: v + float(np.abs(estimate).mean()) for k, v in scores.items()}
        )
    monkeypatch.setattr(recognisers, "transcribe", lambda _, wave: f"word {np.abs(wave).sum():.4f}")
    assert spbs.METRICS


AUDIBLE = [metric.name for metric in registry.families() if "answer" not in metric.needs]


@pytest.mark.parametrize("name", [name.replace("{asr}", "whisper_base") for name in AUDIBLE])
def test_every_metric_hears_the_chosen_channel_of_two(write, clean, stand_ins, name):
    other = speech_like(seed=5)
    waves = {
        "reference": clean,
        "estimate": noisy(clean, 10),
        "mixture": noisy(clean, 0, seed=3),
        "prompt": speech_like(seed=2),
        "other_estimate": noisy(other, 5),
        "other_reference": other,
    }
    values = []
    for channels in (1, 2):
        paths = {
            role: write(f"{channels}/{role}.wav", wave if channels == 1 else np.stack([speech_like(seed=9), wave], 1))
            for role, wave in waves.items()
        }
        others = ((paths.pop("other_estimate"), paths.pop("other_reference")),)
        utterances = [Files("u", text="two words", others=others, **paths)]
        config = {"channel": 1, "resample": True}
        utterances = scorer.with_transcripts(utterances, {"model": "whisper_base"}, Rules(channel=1))
        (row,) = scorer.score(utterances, [registry.find(name)], config)[name]
        assert row["status"] == "ok", row
        values.append(row["value"])
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_a_float_file_at_16_bit_scale_and_a_cut_off_file_have_no_score(write, clean):
    reference = write("r.wav", clean)
    scaled = write("e.wav", 32768 * noisy(clean, 10))
    assert set(statuses(Files("u", reference=reference, estimate=scaled), SIGNAL).values()) == {"unusable_estimate"}
    half = write("h.wav", noisy(clean, 10))
    half.write_bytes(half.read_bytes()[:40_000])
    assert set(statuses(Files("u", reference=reference, estimate=half), ("si_sdr", "mcd_dtw")).values()) <= {
        "unusable_estimate",
        "length_mismatch",
    }
    for name in ("mcd_dtw", "duration_error", "rate_error"):
        assert statuses(Files("u", reference=reference, estimate=half), (name,)) == {name: "unusable_estimate"}


def test_lengths_and_rates(write, clean):
    reference = write("r.wav", clean)
    longer = write("longer.wav", np.concatenate([clean, np.zeros(400, np.float32)]))
    assert statuses(Files("u", reference=reference, estimate=longer), ("si_sdr",)) == {"si_sdr": "infinite"}
    much = write("much.wav", np.concatenate([clean, np.zeros(801, np.float32)]))
    found = statuses(Files("u", reference=reference, estimate=much))
    assert found["pesq"] == found["mcd"] == found["si_sdr"] == "length_mismatch"
    assert found["mcd_dtw"] == found["duration_error"] == "ok"
    other_rate = write("rate.wav", speech_like(rate_hz=8000), rate_hz=8000)
    files = Files("u", reference=reference, estimate=other_rate)
    assert statuses(files, ("pesq", "mcd")) == {"pesq": "rate_mismatch", "mcd": "rate_mismatch"}
    assert statuses(files, ("pesq", "mcd"), resample=True) == {"pesq": "ok", "mcd": "ok"}
    narrow = write("narrow.wav", speech_like(rate_hz=8000), rate_hz=8000)
    assert statuses(Files("u", reference=narrow, estimate=other_rate), ("pesq",)) == {"pesq": "rate_too_low"}
    odd = write("odd.wav", speech_like(rate_hz=12000), rate_hz=12000)
    assert statuses(Files("u", reference=odd, estimate=odd), ("mcd",)) == {"mcd": "unsupported_rate"}
    assert statuses(Files("u", reference=odd, estimate=odd), ("mcd",), mcd={"rate_hz": 8000}) == {"mcd": "ok"}


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all" * 50])
def test_files_that_are_no_audio(tmp_path, write, clean, content):
    path = tmp_path / "e.wav"
    path.write_bytes(content)
    found = statuses(Files("u", reference=write("r.wav", clean), estimate=path))
    assert set(found.values()) == {"unusable_estimate"}
    found = statuses(Files("u", reference=write("r.wav", clean), estimate=tmp_path / "missing.wav"))
    assert set(found.values()) == {"unusable_estimate"}


def transcript(text: str, status: str = "ok") -> dict:
    return {"x": {"text": text, "status": status, "asr": "x"}}


WER = ("wer_whispernorm_x", "wer_refpunct_x", "wer_lower_nopunct_x", "cer_whispernorm_x", "insertions_whispernorm_x")


def test_empty_and_punctuation_only_texts():
    heard = Files("u", text="two words", transcripts=transcript(""))
    rows = scorer.score([heard], registry.find_all(WER))
    assert [rows[name][0]["value"] for name in WER] == [100, 100, 100, 100, 0]
    dots = Files("u", text="two words", transcripts=transcript("... !"))
    rows = scorer.score([dots], registry.find_all(WER[:2]))
    assert [rows[name][0]["value"] for name in WER[:2]] == [100, 100]
    assert set(statuses(Files("u", text="  ", transcripts=transcript("x")), WER).values()) == {"no_text"}
    found = statuses(Files("u", text="?! ...", transcripts=transcript("x")), WER)
    assert {found[name] for name in WER if name != "wer_refpunct_x"} == {"empty_reference"}
    assert set(statuses(Files("u", text="two words", transcripts=transcript("", "failed")), WER).values()) == {
        "no_transcript"
    }
    assert set(statuses(Files("u", text="two words"), WER).values()) == {"no_transcript"}


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("don’t go", "don't go"),
        ("the “co‑op” ﬁnds 20 cafés", 'the "co-op" finds ２０ cafés'),
        ("na­ive​ cats", "naive cats"),
        ("dog—cat", "dog — cat"),
        ("dog\u2e3acat", "dog cat"),
        ("\u202ayes\u202c, \u2066dear\u2069 \u2764\ufe0f", "yes, dear"),
        ("कि दिन", "कि दिन"),
    ],
)
def test_variants_of_a_letter_are_no_error(said, heard):
    for name in WER[:1] + WER[2:4]:
        for a, b in ((said, heard), (heard, said)):
            rows = scorer.score([Files("u", text=a, transcripts=transcript(b))], registry.find_all([name]))
            assert rows[name][0]["value"] == 0, (name, rows)


def test_vowel_signs_tell_words_apart_and_scripts_without_blanks_have_no_words():
    files = Files("u", text="कि दिन hello", transcripts=transcript("की दिन hello"))
    rows = scorer.score([files], registry.find_all(WER))
    assert [round(rows[name][0]["value"], 1) for name in (WER[0], WER[2])] == [33.3, 33.3]
    for said in ("你好世界", "สวัสดีครับ", "これはペンです", "hello 世界"):
        found = statuses(Files("u", text=said, transcripts=transcript(said)), WER)
        assert {found[name] for name in WER if name != WER[3]} == {"unsupported_script"} and found[WER[3]] == "ok"


def test_an_estimate_that_was_never_made():
    found = statuses(Files("u", text="two words", status="out of memory", transcripts=transcript("")), (*LIGHT, *WER))
    assert set(found.values()) == {"no_estimate"}


def test_a_delay_and_a_gain_do_not_move_pesq(write, clean):
    reference = np.concatenate([np.zeros(800, np.float32), noisy(clean, 60)])
    estimate = noisy(reference, 15)
    scores = []
    for changed in (estimate, 0.25 * estimate, np.roll(estimate, 80)):
        files = Files("u", reference=write("r.wav", reference), estimate=write("e.wav", changed))
        scores.append(scorer.score([files], registry.find_all(["pesq"]))["pesq"][0]["value"])
    assert scores[1] == pytest.approx(scores[0], abs=0.01) and scores[2] == pytest.approx(scores[0], abs=0.05)


def test_identity(write, clean):
    path = write("r.wav", clean)
    rows = scorer.score([Files("u", reference=path, estimate=path)], registry.find_all(LIGHT))
    values = {name: row["value"] for name, (row,) in rows.items()}
    assert values.pop("pesq") == pytest.approx(4.6439, abs=1e-4)
    assert rows["si_sdr"][0]["status"] == "infinite" and values.pop("si_sdr") is None
    assert set(values.values()) == {0}
    assert not math.isnan(sum(values.values()))
    assert RATE_HZ == 16000
