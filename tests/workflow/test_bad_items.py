"""A bad item costs its own row and nothing else, with each system of workflow/systems.yaml that runs here."""

import numpy as np
import pandas as pd
import pytest

from baselines import registry
from speechbase import audio
from speechbase.systems.runner import STATUSES, run_manifest
from speechop.system import ComposedSpeechOp
from tests.baselines.conftest import RATE_HZ, speechlike
from workflow.plan import places, system_entries

SYSTEMS = system_entries.read_systems({})
SHIPPED = places.ROOT / "speechbase" / "pretrained" / "nano"
QUICK = {"steps": 2, "precision": "fp32"}


def make(name, transcripts):
    """The system of an entry, over the shipped weights."""
    entry = SYSTEMS[name]
    if "method" in entry:
        config = system_entries.compared_settings({"evaluation": {"baselines": {}}, "scale": "nano"}, SYSTEMS, name)
        made = registry.configured(config | {"models_dir": str(SHIPPED)}, entry["method"], entry.get("checkpoint", ""))
        made.transcripts = transcripts
        return made
    if not (SHIPPED / entry["model"]).is_dir():
        pytest.skip(f"{entry['model']} does not ship")
    return ComposedSpeechOp(name, entry | QUICK, SHIPPED, transcripts)


def torn(path):
    path.write_bytes(path.read_bytes()[:20])


def gone(path):
    path.unlink()


def not_finite(path):
    import soundfile

    soundfile.write(path, np.full(RATE_HZ, np.nan, np.float32), RATE_HZ, subtype="FLOAT")


def of_one_sample(path):
    audio.write(path, np.full(1, 0.1, np.float32), RATE_HZ)


SPOILT = (torn, gone, not_finite, of_one_sample)  # of the items between the first and the last


def write_set(folder, task):
    """Items of a task, the first and the last as they should be, and those of SPOILT between them."""
    rows = []
    for number, spoil in enumerate((None, *SPOILT, None)):
        parts = {"source": speechlike(number), "reference": speechlike(number), "prompt": speechlike(number + 20)}
        for part, wave in parts.items():
            path = folder / f"u{number}.{part}.wav"
            audio.write(path, wave, RATE_HZ)
            if spoil and part != "prompt":
                spoil(path)
        row = {"id": f"u{number}", "task": task, "text": "nine small boxes", "rate_hz": RATE_HZ, "prompt_text": "three"}
        rows.append(row | {part: f"u{number}.{part}.wav" for part in parts})
    pd.DataFrame(rows).to_csv(folder / "set.csv", index=False)
    return folder / "set.csv"


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_bad_item_costs_its_own_row_and_nothing_else(name, tmp_path):
    words = [{"word": word, "start": 0.0, "end": 0.1, "confidence": 0.9} for word in ("nine", "small", "boxes")]
    said = {"status": "ok", "text": "nine small boxes", "words": words}
    system = make(name, {f"u{n}": {"id": f"u{n}", **said} for n in range(len(SPOILT) + 2)})
    if reason := system.skip():
        pytest.skip(reason)
    task = next(task for task in system.tasks if task in ("enhancement", "separation", "asr"))
    index = run_manifest(system, write_set(tmp_path, task), tmp_path / "out")
    first, *bad, short, last = index["status"]
    assert (first, last) == ("ok", "ok"), list(index["detail"])
    assert bad == ["failed"] * 3 and short in STATUSES, list(index["detail"])
    assert all(index["detail"][1:4]) and (short == "ok" or index["detail"][4])
    written = {path.stem for path in (tmp_path / "out").glob("*.wav")}
    assert written == (set() if task == "asr" else set(index["id"][index["status"] == "ok"]))


def test_every_kind_of_system_is_among_them():
    for name in ("speechop", "speechop_itc", "codec_round_trip", "noisy", "clean", "predictive", "sepformer"):
        assert make(name, {"u0": {"status": "failed"}}).skip() is None
    assert make("whisper_base", {}).skip() is None
