"""A small finished run: scores, tables, claims, audio, transcripts and records, with known differences and one lost
file."""

import argparse
import json

import pytest

from speechbase import audio
from speechbase.files import write_json
from tests.workflow.claims import synthetic_audio, synthetic_run
from toy_gmm import study
from toy_gmm.figure import panels
from toy_gmm.mixture import Table7
from workflow.claims import judge as claims
from workflow.plan import preset_files
from workflow.report import __main__ as report
from workflow.tables import build as tables

ABSENT = {"small_crossattn": "not run at the scale nano: no model"}
SYSTEMS = {"se": ("noisy", "speechop", "speechop_itc", "clean"), "sep_clean": ("mixture", "speechop")}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The options and settings with which the report is made of the run."""
    root = tmp_path_factory.mktemp("finished")
    presets = {
        name: preset for name, preset in preset_files.read_presets().items() if name in ("table3", "table5", "table6")
    }
    synthetic_run.write_run(
        root, presets, {("speechop_itc", "wer"): -1.0, ("speechop_gold", "wer"): -1.5}, utterances=12
    )
    for name, systems in SYSTEMS.items():
        ids = [f"{name}-{i:03d}" for i in range(12)]
        synthetic_audio.write_testset(root, name, ids)
        for system in systems:
            synthetic_audio.write_audio(root, name, system, ids, lost=("se-005",) if system == "speechop_itc" else ())
    settings = {
        "metrics": synthetic_run.MEASURES,
        "absent": ABSENT,
        "bootstrap_draws": 100,
        "min_scored": 0.99,
        "seed": 0,
    }
    results = root / "results"
    for name, preset in presets.items():
        tables.build(preset, results, root / "data", settings).to_csv(results / f"{name}.csv", index=False)
    places = {
        "--results": results,
        "--data": root / "data",
        "--models": root / "models",
        "--out": results / "claims.csv",
    }
    claims.main([str(part) for pair in places.items() for part in pair] + ["--settings", json.dumps(settings)])
    rows, samples = study.run(Table7(samples=50), 2)
    panels(results / "fig4.png", Table7(samples=50), samples, study.summarise(rows))
    synthetic_audio.write_record(results / "table3.provenance.json")
    record = {"steps": 1200, "wall_minutes": 30.2, "parameters": 8_600_000, "hardware": "2 threads"}
    write_json(root / "models" / "tts" / "config.json", {"record": record})
    for step in (500, 1000):
        wave = synthetic_audio.tone(0.5, 300, step)
        audio.write(root / "models" / "tts" / "samples" / f"{step:07d}-tts.flac", wave, synthetic_audio.RATE_HZ)
    config = {
        "scale": "nano",
        "about": "Of toy speech.",
        "seed": 0,
        "absent": ABSENT,
        "evaluation": {"metrics": synthetic_run.MEASURES, "asr": {"whisper_base": {}}},
        "models": {"tts": {"training": {"steps": 2600}}, "multitask": {"training": {"steps": 2000}}},
    }
    options = argparse.Namespace(results=results, data=root / "data", models=root / "models", examples=1)
    options.arguments = ["--results", results, "--data", root / "data", "--models", root / "models", "--examples", 1]
    options.arguments += ["--settings", json.dumps(config), "--out", results / "report" / "index.html"]
    options.arguments = [str(part) for part in [*options.arguments, "--single", results / "report.html"]]
    report.main(options.arguments)
    return options
