"""Installed recognisers as systems: their text, and what is missing."""

from importlib.metadata import EntryPoint

import pandas as pd

from baselines import registry
from baselines.recogniser import adapter
from speechbase import audio
from speechbase.systems.runner import run_manifest


class Counting:
    """Hears how long a recording is; a third one it cannot hear."""

    def __init__(self, **options):
        self.options = options

    def transcribe(self, wave, rate_hz):
        if len(wave) > rate_hz:
            raise ValueError("too long for me")
        return {"text": f"{len(wave)} samples {self.options.get('model', '')}".strip()}


def test_an_installed_recogniser_answers_with_text(tmp_path, monkeypatch, make_speech):
    found = [EntryPoint("counting", f"{__name__}:Counting", adapter.GROUP)]
    monkeypatch.setattr(adapter, "entry_points", lambda group: found)
    rows = []
    for name, seconds in (("a", 0.5), ("b", 1.5)):
        audio.write(tmp_path / f"{name}.wav", make_speech(0, seconds), 16_000)
        rows.append({"id": name, "task": "asr", "rate_hz": 16_000, "text": "x", "source": f"{name}.wav"})
    pd.DataFrame(rows).to_csv(tmp_path / "set.csv", index=False)
    system = registry.create("recogniser", {"name": "counting", "model": "small"})
    index = run_manifest(system, tmp_path / "set.csv", tmp_path / "out").fillna("").set_index("id")
    assert index.loc["a", "text"] == "8000 samples small" and index.loc["a", "status"] == "ok"
    assert index.loc["b", "status"] == "failed" and "too long for me" in index.loc["b", "detail"]
    assert "no recogniser 'countin' is installed (did you mean 'counting'?)" in (
        registry.create("recogniser", {"name": "countin"}).skip()
    )
