"""The report's parts: word errors, spectrograms, loudness, corrupted transcripts, whose errors they are, figures."""

import io
import random

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib import pyplot as plt
from matplotlib.image import imread

from speechbase.files import UserError, read_jsonl, write_jsonl
from workflow.experiments import corrupt, error_sources
from workflow.plan import places, preset_files
from workflow.plan.configuration import run_of
from workflow.record.curves import read
from workflow.report import media
from workflow.report.examples import choose
from workflow.report.words import align, errors
from workflow.tables import figures, training

RATE_HZ = 16000


def kinds(reference, heard):
    return [(word.text, word.kind) for word in align(reference, heard)]


def test_words_are_marked_as_the_error_rate_counts_them():
    assert kinds("the cat sat down", "The cat, sat down.") == [(w, "ok") for w in ("the", "cat", "sat", "down")]
    found = align("the cat sat down", "the bat sat down now")
    assert [(w.text, w.kind, w.instead_of) for w in found if w.kind != "ok"] == [
        ("bat", "substituted", "cat"),
        ("now", "inserted", ""),
    ]
    assert ("cat", "deleted") in kinds("the cat sat down", "the sat down")
    assert errors(align("the cat sat down", "")) == 4
    assert kinds("", "well hello") == [("well", "inserted"), ("hello", "inserted")]


def test_a_tone_is_a_line_at_its_place_in_the_spectrogram():
    t = np.arange(RATE_HZ) / RATE_HZ
    picture = imread(io.BytesIO(media.spectrogram(np.sin(2 * np.pi * 2000 * t).astype(np.float32), RATE_HZ)))
    brightest = picture[:, 20:-20, :3].sum((1, 2)).argmax()
    assert brightest / len(picture) == pytest.approx(1 - 2000 / 8000, abs=0.02)


@pytest.mark.parametrize("seconds", [0.001, 0.1])
def test_clips_too_short_for_a_window_still_have_a_picture(seconds):
    wave = np.zeros(max(1, round(seconds * RATE_HZ)), np.float32)
    assert media.spectrogram(wave, RATE_HZ).startswith(b"\x89PNG")
    assert np.array_equal(media.level(wave, RATE_HZ), wave)


def test_levels_are_matched_without_clipping():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    quiet, loud = media.level(noise * 0.01, RATE_HZ), media.level(noise * 3, RATE_HZ)
    np.testing.assert_allclose(quiet, loud, rtol=1e-3, atol=1e-6)
    click = noise * 0.001
    click[100] = 0.5
    assert np.abs(media.level(click, RATE_HZ)).max() == pytest.approx(media.PEAK)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000, 11025])
def test_both_encodings_keep_the_length(rate_hz):
    wave = np.sin(np.arange(rate_hz) / 9).astype(np.float32) * 0.3
    for encoded in (media.flac(wave, rate_hz), media.mp3(wave, rate_hz)):
        found, rate = soundfile.read(io.BytesIO(encoded))
        assert len(found) / rate == pytest.approx(1.0, abs=0.11)


def test_examples_are_spread_over_the_snr():
    manifest = pd.DataFrame(
        {"id": [f"u{i}" for i in range(9)], "snr_db": ["5", "-5", "20", "0", "15", "10", "-10", "1", "2"]}
    )
    assert [float(row["snr_db"]) for row in choose(manifest, 3)] == [-5 + 5, 2, 10]
    assert len(choose(manifest, 20)) <= 9
    assert [row["id"] for row in choose(pd.DataFrame({"id": ["a", "b", "c"]}), 1)] == ["b"]


def test_transcripts_are_corrupted_at_the_asked_rate_and_by_seed(tmp_path):
    names = [f"{a}o{b}ex" for a in "bdfgk" for b in "lmnprtvz"]
    words = [names[i % len(names)] for i in range(4000)]
    found = corrupt.corrupt(words, 0.3, sorted(set(words)), random.Random(0))
    assert errors(align(" ".join(words), " ".join(found))) / len(words) == pytest.approx(0.3, abs=0.03)
    assert corrupt.corrupt(words, 0.0, words, random.Random(0)) == words
    manifest = pd.DataFrame({"id": ["a", "b"], "speaker": "s", "text": ["one two three", "four five six"]})
    manifest.to_csv(tmp_path / "m.csv", index=False)
    outputs = []
    for name in ("x", "y"):
        corrupt.main(["--manifest", str(tmp_path / "m.csv"), "--percent", "50", "--out", str(tmp_path / name)])
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]
    assert [row["id"] for row in read_jsonl(tmp_path / "x")] == ["a", "b"]


def test_wrong_words_are_traced_to_the_guide_or_to_the_model(tmp_path):
    reference, guide = "alpha bravo charlie delta echo", "alpha tango charlie sierra echo"
    counts = error_sources.sources(reference, guide, "alpha tango victor delta")
    assert counts == {"words": 5, "followed": 1, "own": 2, "resisted": 1}
    pd.DataFrame({"id": ["a"], "speaker": "s", "text": [reference]}).to_csv(tmp_path / "m.csv", index=False)
    for name, text in (("g", guide), ("o", "alpha tango victor delta")):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": "a", "text": text, "status": "ok"}])
    places = ["--manifest", "m.csv", "--guides", "g.jsonl", "--outputs", "o.jsonl", "--out", "out.csv"]
    error_sources.main([p if p.startswith("--") else str(tmp_path / p) for p in places] + ["--names", "40"])
    row = pd.read_csv(tmp_path / "out.csv").iloc[0]
    assert (row["followed"], row["own"], row["resisted"]) == (20, 40, 20)


def test_figure_2_marks_where_the_pretrained_curve_arrives(tmp_path):
    for name, losses in {"fig2_enh_rand": [0.9, 0.6, 0.5, 0.4], "fig2_enh_tts": [0.5, 0.4, 0.3, 0.2]}.items():
        rows = [{"step": 100 * (i + 1), "loss": 1.0, "valid_s2s": loss} for i, loss in enumerate(losses)]
        write_jsonl(tmp_path / name / "curves.jsonl", [{"step": 50, "loss": 2.0}, *rows])
    figure = figures.curves(preset_files.read_presets()["fig2"], tmp_path)
    assert [text.get_text() for text in figure.axes[0].texts] == ["2.0x fewer steps"]
    assert "not trained" in figure.axes[1].get_title()
    plt.close(figure)


def test_matched_runs_are_drawn_by_length_with_the_range_of_their_seeds(tmp_path):
    for seed, shift in ((0, 0.0), (1, 0.1)):
        for part, loss in ((1, 0.2), (8, 0.6)):
            rows = [{"step": 800 // part, "valid_s2s": loss + shift}]
            write_jsonl(tmp_path / run_of("fig2_enh_tts", part, seed) / "curves.jsonl", rows)
    places = ["--preset", preset_files.preset_file("fig2"), "--models", str(tmp_path), "--out", str(tmp_path / "m.png")]
    figures.main(["matched", *places, "--table", str(tmp_path / "m.csv")])
    table = pd.read_csv(tmp_path / "m.csv")
    assert list(table["steps"]) == [800, 100, 800, 100] and (tmp_path / "m.png").stat().st_size > 10_000


def lines_of(figure):
    """The named lines of every panel, by its title."""
    named = {axis.get_title(): [line.get_label() for line in axis.lines] for axis in figure.axes if axis.lines}
    return {title: [name for name in names if not name.startswith("_")] for title, names in named.items()}


def test_training_curves_show_every_validation_and_the_text_gap_of_models_that_have_one(tmp_path):
    rows = [
        {"step": 10 * i, "loss": 1 / i, "valid_tts": 2 / i, "valid_s2s": 3 / i, "valid_text_gap": 0.1} for i in (1, 2)
    ]
    write_jsonl(tmp_path / "multitask" / "curves.jsonl", [{"step": 5, "loss": 2.0}, *rows])
    write_jsonl(tmp_path / "codec" / "curves.jsonl", [{"step": 5, "loss": 9.0, "mel": 1.0, "valid_mel": 0.5}])
    figure = figures.training(tmp_path, ["codec", "tts", "multitask"])
    assert lines_of(figure) == {
        "codec: loss": ["training mel", "validation mel"],
        "multitask: loss": ["training loss", "validation tts", "validation s2s"],
        "text gap: what the transcript is worth": ["multitask"],
    }
    plt.close(figure)
    write_jsonl(tmp_path / "short" / "curves.jsonl", [{"step": 5, "loss": 2.0}])  # ended before its first validation
    assert lines_of(figures.training(tmp_path, ["short"])) == {"short: loss": ["training loss"]}
    plt.close()
    with pytest.raises(UserError, match="none of tts"):
        figures.training(tmp_path, ["tts"])


LEVELS = {
    "speechx_ar": ("top10", range(1, 5)),
    "speechx_nar": ("top10", range(2, 9)),
    "polyspeech": ("top1", range(1, 4)),
}


@pytest.mark.parametrize("kind", LEVELS)
def test_a_token_model_s_accuracy_has_a_line_for_each_level_and_each_task(tmp_path, kind):
    top, levels = LEVELS[kind]
    rows = [
        {"step": step, "loss": 4.0, top: 0.5, "latents": 0.1, "valid_loss": 3.0}
        | {f"valid_{task}_loss": 3.0 for task in ("tts", "edit_noisy")}
        | {f"valid_{task}_{top}": 0.4 for task in ("tts", "edit_noisy")}
        | {f"valid_{top}_level_{level}": level / 10 for level in levels}
        for step in (200, 400)
    ]
    write_jsonl(tmp_path / kind / "curves.jsonl", [{"step": 100, "loss": 5.0, top: 0.1, "latents": 0.1}, *rows])
    figure = figures.training(tmp_path, [kind])
    guesses, tasks = top.removeprefix("top"), ["validation tts", "validation edit noisy"]
    assert lines_of(figure) == {
        f"{kind}: loss": ["training loss, with the latents' error", "validation loss", *tasks],
        f"{kind}: top-{guesses} accuracy by task": [f"training {top}", *tasks],
        f"{kind}: top-{guesses} accuracy by level": [f"training {top}", *(f"validation level {n}" for n in levels)],
    }
    (by_level,) = [axis for axis in figure.axes if axis.get_title().endswith("by level")]
    drawn = [line.get_xydata().tolist() for line in by_level.lines[1:]]
    assert drawn == [[[200, pytest.approx(10 * n)], [400, pytest.approx(10 * n)]] for n in levels]  # in per cent
    plt.close(figure)


@pytest.mark.parametrize("name", ["codec_tokens", "hubert_2", "polyspeech", "speechx_ar", "speechx_nar", "sset"])
def test_what_shipped_models_recorded_of_their_validation_is_all_drawn(tmp_path, name):
    rows = read(places.ROOT / "speechbase" / "pretrained" / "nano" / name)
    validations = [column for column in rows if column.startswith("valid_")]
    assert sorted(column for panel in training.panels(rows) for column in panel.lines) == sorted(validations)
    out = tmp_path / "training.png"
    shipped = str(places.ROOT / "speechbase" / "pretrained" / "nano")
    assert figures.main(["training", "--models", shipped, "--names", name, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "strength"])
def test_every_sweep_can_be_drawn_with_gaps(name):
    preset = preset_files.read_presets()[name]
    rows = [
        {"label": row["label"], "role": column["role"], "value": i + 1.0, "low": i + 0.5, "high": i + 1.5}
        for i, row in enumerate(preset["rows"])
        for column in preset["metrics"]
    ]
    table = pd.DataFrame(rows)
    table.loc[0, ["value", "low", "high"]] = np.nan
    figure = figures.sweep(preset, table)
    assert len(figure.axes) == len(preset["metrics"])
    assert {row["series"] for row in preset["rows"]} >= {line.get_label() for line in figure.axes[-1].containers}
    plt.close(figure)


def test_runs_with_several_seeds_are_drawn_as_their_mean_with_their_range():
    preset = {
        "sweep": {"label": "gamma", "scale": "linear"},
        "metrics": [{"role": "wer", "label": "WER %", "better": "lower"}],
        "rows": [{"label": f"{x}, seed {seed}", "series": "TC-CFG", "x": x} for x in (0, 3) for seed in (0, 1)],
    }
    cells = [("0, seed 0", 20), ("0, seed 1", 30), ("3, seed 0", 5), ("3, seed 1", None)]
    table = pd.DataFrame([{"label": i, "role": "wer", "value": v, "low": 4, "high": 60} for i, v in cells])
    figure = figures.sweep(preset, table)
    (line,) = figure.axes[0].containers
    assert line.lines[0].get_xydata().tolist() == [[0, 25], [3, 5]]
    assert [segment[:, 1].tolist() for segment in line.lines[2][0].get_segments()] == [[20, 30], [4, 60]]
    plt.close(figure)
