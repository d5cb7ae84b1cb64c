"""PolySpeech: its answers to test sets, files and calls."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from baselines import registry
from baselines.polyspeech import layout
from baselines.polyspeech.__main__ import app
from baselines.polyspeech.pipeline import PolySpeech
from speechbase import audio
from speechbase.files import UserError
from speechbase.systems.runner import run_manifest
from tests.baselines.polyspeech.conftest import LABELS


@pytest.fixture(scope="module")
def test_set(tmp_path_factory):
    """Rows of each task, on tones."""
    root = tmp_path_factory.mktemp("set")
    wave = (0.1 * np.sin(np.arange(12_345) / 20) * np.sin(np.arange(12_345) / 3000) ** 2).astype(np.float32)
    audio.write(root / "source.wav", wave, 16_000)
    audio.write(root / "silent.wav", 0 * wave, 16_000)
    audio.write(root / "short.wav", wave[3000:3100], 16_000)
    row = {"rate_hz": 16_000, "source": "source.wav", "reference": "source.wav", "prompt": "source.wav"}
    row |= {"text": "one two", "label": "en", "seconds": 0.77}
    rows = [{"id": task, "task": task, **row} for task in layout.TASKS]
    rows[3]["label"] = "m"
    for name in ("silent", "short"):
        rows += [{"id": f"{task}_{name}", **row, "task": task, "source": f"{name}.wav"} for task in ("asr", "lid")]
    rows += [{"id": label, **row, "task": "lid", "label": label} for label in ("fi", "unknown")]
    pd.DataFrame(rows).to_csv(root / "set.csv", index=False)
    return root / "set.csv"


def _source(test_set):
    return audio.read(test_set.parent / "source.wav")[0]


def system(made, **settings):
    return registry.create("polyspeech", {"models_dir": str(made), "sure": 0.0, **settings})


def test_every_task_is_answered_and_a_bad_item_costs_its_own_row(made, test_set, tmp_path):
    index = run_manifest(system(made), test_set, tmp_path / "out").fillna("").set_index("id")
    assert set(index.loc[["asr", "lid", "gid", "asr_silent", "lid_silent", "lid_short"], "status"]) == {"ok"}
    assert index.loc["lid", "label"] in LABELS["lid"] and index.loc["gid", "label"] in LABELS["gid"]
    assert index.loc["tts", "status"] in ("ok", "no_end") and "ended by" in index.loc["tts", "detail"]
    assert ("no end" in index.loc["asr", "detail"]) != PolySpeech(made).recognise([_source(test_set)])[0].ended
    assert index.loc["asr_silent", "text"] == "" and "nothing was heard" in index.loc["asr_silent", "detail"]
    assert set(index.loc[["lid_silent", "lid_short"], "label"]) == {"unknown"}
    assert index.loc["asr_short", "status"] == "failed" and "shorter than 25 ms" in index.loc["asr_short", "detail"]
    assert index.loc["fi", "status"] == "failed" and "trained on en, it" in index.loc["fi", "detail"]
    assert index.loc["unknown", "status"] == "ok"
    again = run_manifest(system(made, batch=1), test_set, tmp_path / "again").fillna("").set_index("id")
    assert list(again["text"]) == list(index["text"]) and list(again["sha256"]) == list(index["sha256"])


def test_a_label_that_is_not_sure_is_unknown(made, test_set, tmp_path):
    index = run_manifest(system(made, sure=1.0), test_set, tmp_path / "out").set_index("id")
    assert index.loc["lid", "label"] == "unknown" and "no label is sure" in index.loc["lid", "detail"]


def test_tokens_and_back_are_as_long_as_the_reference(made, test_set, tmp_path):
    index = run_manifest(system(made, resynthesis=True), test_set, tmp_path / "out").set_index("id")
    assert index.loc["tts", "status"] == "ok"
    assert len(audio.read(tmp_path / "out" / "tts.wav")[0]) == 12_345


def test_a_model_for_one_task_says_so_when_it_is_asked_for_another(made, test_set):
    single = PolySpeech(made, "polyspeech_lid")
    wave = audio.read(test_set.parent / "source.wav")[0]
    assert set(single.name("lid", [wave])[0].probabilities) == set(LABELS["lid"])
    with pytest.raises(UserError, match="no answers of the task asr: it was trained for lid"):
        single.recognise([wave])


def test_what_is_no_mono_audio_and_letters_that_it_never_read_are_refused(made, test_set):
    polyspeech = PolySpeech(made)
    wave = audio.read(test_set.parent / "source.wav")[0]
    broken = wave.copy()
    broken[100] = np.nan
    for bad in (np.stack([wave, wave], 1), broken):
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.listen(bad)
        with pytest.raises(UserError, match="must be mono audio, finite"):
            polyspeech.speak("one two", bad)
    with pytest.raises(UserError, match="Latin letters only"):
        polyspeech.speak("один", wave)


def test_the_call_and_the_command_do_the_same(made, test_set, tmp_path):
    source = test_set.parent / "source.wav"
    heard = PolySpeech(made).listen(audio.read(source)[0])
    done = CliRunner().invoke(app, ["listen", str(source), "--models", str(made)])
    assert done.exit_code == 0, done.output
    assert ("came to no end" in done.output) != heard.ended
    assert ("writes English alone" in done.output) == (heard.language.label == "it")
    assert f"language: {heard.language.label}" in done.output and f"sex: {heard.sex.label}" in done.output
    out = tmp_path / "said.wav"
    done = CliRunner().invoke(
        app, ["speak", "one two", "--voice", str(source), "--out", str(out), "--models", str(made)]
    )
    assert out.is_file() == (done.exit_code == 0)
    assert done.exit_code == 0 or "came to its longest" in str(done.exception)
