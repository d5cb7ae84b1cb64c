"""Answers in words, and pitch: values by hand, and what has none."""

import numpy as np
import pandas as pd
import pytest

from metrics import inputs, registry, scorer
from metrics.f0 import error_semitones, pitch_hz
from metrics.summary import summarise
from metrics.utterance import Files
from speechbase import audio

TONE = np.sin(2 * np.pi * np.cumsum(150 + 30 * np.sin(np.arange(32_000) / 4000)) / 16_000).astype(np.float32) * 0.3


def scored(utterances, *names):
    return scorer.score(utterances, registry.find_all(names))


def test_error_rates_of_a_system_s_own_text_are_those_of_all_words_together():
    utterances = [
        Files("a", text="nancy found three small tables", answer="Nancy found three tall tables."),
        Files("b", text="kevin", answer=""),
    ]
    rows = scored(utterances, "wer_answer", "cer_answer")
    assert [row["value"] for row in rows["wer_answer"]] == [20.0, 100.0]
    assert summarise(rows["wer_answer"], "wer_answer", {"a": "x", "b": "y"}).value == pytest.approx(100 * 2 / 6)
    # The normaliser writes "3", so that 26 characters are left.
    assert rows["cer_answer"][0]["value"] == pytest.approx(100 * 2 / 26) and rows["cer_answer"][1]["value"] == 100


def test_a_label_is_right_or_wrong_and_unknown_is_wrong():
    told = [("es", "es"), ("es", "pt"), ("it", "unknown"), ("", "it")]
    utterances = [Files(f"u{n}", label=label or None, answer=answer) for n, (label, answer) in enumerate(told)]
    rows = scored([*utterances, Files("audio", label="es", estimate=None)], "accuracy")["accuracy"]
    assert [row["value"] for row in rows] == [100.0, 0.0, 0.0, None, None]
    assert [row["status"] for row in rows[3:]] == ["no_label", "no_answer"]
    assert rows[1]["detail"] == {"label": "es", "answer": "pt"}


def test_answers_come_from_the_index_and_a_changed_one_is_scored_again(tmp_path):
    manifest = pd.DataFrame({"id": ["a", "b"], "text": ["one", "two"], "label": ["en", "it"], "speaker": ["x", "y"]})
    manifest.to_csv(tmp_path / "set.csv", index=False)
    for said in ("two", "ten"):
        rows = [{"id": "a", "path": "", "status": "failed", "text": "", "label": "", "detail": "no sound"},
                {"id": "b", "path": "", "status": "ok", "text": said, "label": "", "detail": ""}]  # fmt: skip
        pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
        found = scorer.score(
            inputs.from_manifest(tmp_path / "set.csv", tmp_path / "index.csv"),
            registry.find_all(["wer_answer"]),
            out=tmp_path / "scores",
        )["wer_answer"]
        assert found[0]["status"] == "no_estimate" and "no sound" in found[0]["detail"]["reason"]
        assert found[1]["value"] == (0.0 if said == "two" else 100.0)


def test_pitch_is_found_and_a_voice_s_own_height_does_not_count():
    found = pitch_hz(TONE)
    assert len(found) == 1 + (len(TONE) - 1024) // 256
    voiced = found[found > 0]
    assert len(voiced) > 100 and 118 < voiced.min() < voiced.max() < 182
    higher, frames = error_semitones(reference=found, estimate=1.5 * found)
    assert higher == pytest.approx(0, abs=1e-6) and frames == len(voiced)
    flat, _ = error_semitones(reference=found, estimate=np.where(found > 0, 150.0, 0))
    assert flat == pytest.approx(np.std(12 * np.log2(voiced / 150)), rel=1e-6)


def test_pitch_error_of_files(tmp_path):
    for name, wave in (("same", TONE), ("flat", 0.3 * np.sin(2 * np.pi * 150 * np.arange(32_000) / 16_000))):
        audio.write(tmp_path / f"{name}.wav", wave.astype(np.float32), 16_000)
    rng = np.random.default_rng(0)
    audio.write(tmp_path / "noise.wav", (0.1 * rng.standard_normal(32_000)).astype(np.float32), 16_000)
    paths = {name: tmp_path / f"{name}.wav" for name in ("same", "flat", "noise")}
    utterances = [Files(name, reference=paths["same"], estimate=path) for name, path in paths.items()]
    same, flat, noise = scored(utterances, "f0_error")["f0_error"]
    assert same["value"] == pytest.approx(0, abs=1e-6) and flat["value"] > 1
    assert noise["status"] == "no_pitch"
