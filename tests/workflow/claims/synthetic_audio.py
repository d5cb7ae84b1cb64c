"""Audio, indexes, transcripts, tables and records of a small run, so that the report has something to show."""

from pathlib import Path

import numpy as np
import pandas as pd

from speechbase import audio
from speechbase.files import write_json, write_jsonl

RATE_HZ = 16000
TEXT = "bin blue at f two now and then again"
HEARD = {
    "noisy": "bin blew at two now and again",
    "clean": "Bin blue at F two, now and then again.",
    "speechop": "bin blue at f now then again now",
}


def tone(seconds, hz, seed):
    """A chirp with some noise, so that spectrograms differ."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = 0.2 * np.sin(2 * np.pi * (hz + 300 * t) * t) + 0.01 * np.random.default_rng(seed).normal(size=len(t))
    return wave.astype(np.float32)


def write_testset(root, name, ids, seconds=0.5):
    """A manifest with prompts, SNRs that fall with the id, and a text that HTML must escape."""
    folder = Path(root, "data", "testsets")
    rows = []
    for i, utterance in enumerate(ids):
        audio.write(folder / name / f"{utterance}.flac", tone(seconds, 300 + 20 * i, i), RATE_HZ)
        rows.append(
            {"id": utterance, "set": name, "speaker": f"s{i % 3}", "rate_hz": RATE_HZ, "text": TEXT, "snr_db": 20 - i}
            | {"prompt": f"{name}/{utterance}.flac" if name == "sep_clean" else "", "noise_kind": "a<b> & babble"}
        )
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)


def write_audio(root, name, system, ids, seconds=0.5, lost=()):
    """A system's audio index and transcripts; utterances in `lost` have a status instead of a file."""
    folder = Path(root, "results", "audio", name, system)
    rows, heard = [], []
    for i, utterance in enumerate(ids):
        ok = utterance not in lost
        if ok:
            audio.write(folder / f"{utterance}.wav", tone(seconds, 200 + 50 * len(system) + 20 * i, i), RATE_HZ)
        status = {"status": "ok" if ok else "failed", "detail": "" if ok else "out of memory"}
        rows.append({"id": utterance, "path": f"{utterance}.wav", "rate_hz": RATE_HZ, "seconds": seconds} | status)
        heard.append(
            {"id": utterance, "text": HEARD.get(system, TEXT), "words": [], "status": "ok", "asr": "x", "version": "1"}
        )
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    write_jsonl(Path(root, "results", "transcripts", name, system, "whisper_base.jsonl"), heard)


def write_record(path, seconds=1.5):
    """The provenance of a result, as workflow.record.job writes it."""
    write_json(
        path,
        {
            "command": "true",
            "settings": {},
            "inputs": {"models/tts/model.safetensors": "ab" * 32},
            "outputs": {},
            "code": {},
        }
        | {"versions": {}, "machine": {}, "started": "2026-01-01T00:00:00+00:00", "wall_s": seconds, "cpu_s": seconds}
        | {"peak_memory_mb": 100.0},
    )
