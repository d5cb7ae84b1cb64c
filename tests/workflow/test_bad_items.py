"""A bad item costs its own row and nothing else, with each system of workflow/systems.yaml that runs here."""

import numpy as np
import pandas as pd
import pytest

from baselines import registry
from speechbase import audio
from speechbase.systems.runner import STATUSES, run_manifest
from speechop.system import ComposedSpeechOp
from tests.baselines.conftest import RATE_HZ, speechlike
from workflow.plan import planning

SYSTEMS = planning.read_systems({})
SHIPPED = planning.ROOT / "speechbase" / "pretrained" / "nano"
QUICK = {"steps": 2, "precision": "fp32"}


def make(name, transcripts):
    """The system of an entry, over the shipped weights."""
    entry = SYSTEMS[name]
    if "method" in entry:
        config = planning.compared_settings({"evaluation": {"baselines": {}}, "scale": "nano"}, SYSTEMS, name)
        return registry.configured(config | {"models_dir": str(SHIPPED)}, entry["method"], entry.get("checkpoint", ""))
    return ComposedSpeechOp(name, entry | QUICK, SHIPPED, transcripts)


def write_set(folder, task, spoil):
    """Three items of a task, of which `spoil(path)` changes the audio of the second."""
    rows = []
    for number in range(3):
        parts = {"source": speechlike(number), "reference": speechlike(number), "prompt": speechlike(number + 20)}
        for part, wave in parts.items():
            path = folder / f"u{number}.{part}.wav"
            audio.write(path, wave, RATE_HZ)
            if number == 1 and part != "prompt":
                spoil(path)
        row = {"id": f"u{number}", "task": task, "text": "nine small boxes", "rate_hz": RATE_HZ, "prompt_text": "three"}
        rows.append(row | {part: f"u{number}.{part}.wav" for part in parts})
    pd.DataFrame(rows).to_csv(folder / "set.csv", index=False)
    return folder / "set.csv"


def torn(path):
    path.write_bytes(path.read_bytes()[:20])


def gone(path):
    path.unlink()


def not_finite(path):
    import soundfile

    soundfile.write(path, np.full(RATE_HZ, np.nan, np.float32), RATE_HZ, subtype="FLOAT")


def of_one_sample(path):
    audio.write(path, np.full(1, 0.1, np.float32), RATE_HZ)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_bad_item_costs_its_own_row_and_nothing_else(name, tmp_path):
    heard = {f"u{n}": {"id": f"u{n}", "status": "ok", "text": "nine small boxes"} for n in range(3)}
    if reason := make(name, heard).skip():
        pytest.skip(reason)
    task = next(task for task in make(name, heard).tasks if task in ("enhancement", "separation"))
    for spoil in (torn, gone, not_finite, of_one_sample):
        folder = tmp_path / spoil.__name__
        folder.mkdir()
        index = run_manifest(make(name, heard), write_set(folder, task, spoil), folder / "out")
        first, bad, last = index["status"]
        assert (first, last) == ("ok", "ok"), (spoil.__name__, list(index["detail"]))
        assert bad in STATUSES and (bad == "failed" or spoil is of_one_sample), (spoil.__name__, list(index["detail"]))
        assert bad != "failed" or index["detail"][1]
        assert sorted(path.name for path in (folder / "out").glob("*.wav")) == [
            f"{row}.wav" for row in index["id"][index["status"] == "ok"]
        ]


def test_every_kind_of_system_is_among_them():
    run = [name for name in SYSTEMS if make(name, {"u0": {}}).skip() is None]
    assert {"speechop", "speechop_itc", "codec_round_trip", "noisy", "clean", "predictive", "sepformer"} <= set(run)
