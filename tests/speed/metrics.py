"""Speed of scoring: `python -m tests.speed.metrics --json [--files 40] [--jobs 2] [--models]`.

The CPU metrics against the obvious serial loop over the same libraries (each metric reads its files and computes its
own features), in turns in one run, so that a busy machine slows both alike. Their values are compared as well.
`--models` adds the seconds per utterance of the packaged networks, each loaded once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # else `metrics` would be this file

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import soundfile
import typer

from metrics import dnsmos, mcd, registry, scorer, sim
from metrics.judges import recognisers, whisper
from metrics.log_mel import log_mel_distance
from metrics.utterance import Files
from speechbase.commands import command_line

RATE_HZ = 16000
NAMES = ("pesq", "mcd", "mcd_dtw", "mcd_espnet_16k", "si_sdr", "log_mel")


def make_files(folder: Path, count: int, seconds: float) -> list[Files]:
    """Pairs of modulated noise and the same with noise at 10 dB, deterministic."""
    found = []
    for k in range(count):
        rng = np.random.default_rng(k)
        length = round(seconds * RATE_HZ)
        envelope = np.clip(np.sin(2 * np.pi * 2.5 * np.arange(length) / RATE_HZ + k), 0.01, None)
        clean = 0.1 * envelope * np.convolve(rng.standard_normal(length), np.ones(8) / 8, "same")
        paths = [folder / f"{name}{k}.wav" for name in ("reference", "estimate")]
        soundfile.write(paths[0], clean, RATE_HZ)
        soundfile.write(paths[1], clean + 0.3 * clean.std() * rng.standard_normal(length), RATE_HZ)
        found.append(Files(f"u{k}", reference=paths[0], estimate=paths[1]))
    return found


def serial(files: list[Files], names: Sequence[str] = NAMES) -> dict[str, list[float]]:
    """The obvious loop: metric by metric, file by file."""
    import fast_bss_eval
    import pesq

    def cepstral(energy, warp):
        return lambda r, e: mcd.distortion_db(reference=sptk(r), estimate=sptk(e), energy=energy, warp=warp)

    functions = {
        "pesq": lambda r, e: pesq.pesq(RATE_HZ, r, e, "wb"),
        "mcd": cepstral(False, False),
        "mcd_dtw": cepstral(False, True),
        "mcd_espnet_16k": cepstral(True, True),
        "si_sdr": lambda r, e: float(fast_bss_eval.si_sdr(r[None], e[None], zero_mean=True)[0]),
        "log_mel": lambda r, e: log_mel_distance(reference=r, estimate=e),
    }
    return {
        name: [functions[name](*(soundfile.read(p)[0] for p in (f.reference, f.estimate))) for f in files]
        for name in names
    }


def sptk(wave: np.ndarray) -> np.ndarray:
    """Mel-cepstra [frames, order + 1] at 16 kHz by the package pysptk."""
    with warnings.catch_warnings():  # it imports pkg_resources, which warns that it is deprecated
        warnings.simplefilter("ignore")
        import pysptk
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), mcd.N_FFT)[:: mcd.HOP]
    return pysptk.mcep(frames * pysptk.hamming(mcd.N_FFT), *mcd.ORDER_AND_ALPHA[RATE_HZ], eps=1e-6, etype=1)


def cpu_seconds() -> float:
    """Processor seconds of this process and of its finished children: what load from elsewhere moves least."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def compare(files: list[Files], jobs: int, rounds: int) -> dict:
    """Median seconds of both ways, their ratio, and the largest difference of any value."""
    metrics = registry.find_all(NAMES)
    serial(files[:1]), scorer.score(files[:1], metrics)  # libraries are loaded before the clock starts
    times: dict[str, list[float]] = {"serial": [], "one_process": [], "processes": []}
    cpu: dict[str, list[float]] = {name: [] for name in times}
    for _ in range(rounds):
        for name, function in (
            ("serial", lambda: serial(files)),
            ("one_process", lambda: scorer.score(files, metrics)),
            ("processes", lambda: scorer.score(files, metrics, jobs=jobs)),
        ):
            start, cpu_start = time.perf_counter(), cpu_seconds()
            values = function()
            times[name].append(time.perf_counter() - start)
            cpu[name].append(cpu_seconds() - cpu_start)
            if name == "serial":
                expected = values
    differences = [abs(row["value"] - v) for name in NAMES for row, v in zip(values[name], expected[name], strict=True)]
    seconds = {name: statistics.median(each) for name, each in times.items()}
    return {
        "files": len(files),
        "jobs": jobs,
        "seconds": seconds,
        "cpu_seconds": {name: statistics.median(each) for name, each in cpu.items()},
        "ratio_one_process": seconds["serial"] / seconds["one_process"],
        "ratio": seconds["serial"] / seconds["processes"],
        "largest_difference": max(differences),
    }


def networks(files: list[Files]) -> dict[str, float]:
    """Seconds per utterance of the packaged networks, after one call that loads them."""
    waves = [soundfile.read(f.estimate, dtype="float32")[0] for f in files]
    embed, model = sim._ge2e(), whisper.load("whisper_base")
    whole = dnsmos._session(dnsmos._tool().primary_model_path)
    hear = {c: recognisers.resolve({"model": "whisper_base", "context_s": c}) for c in (10, 30)}
    functions = {
        "spbs_whisper_base_features": model.features,
        "sim_ge2e_embedding": embed,
        "dnsmos_p835": lambda wave: dnsmos.p835(estimate=wave),
        "dnsmos_each_window_whole": lambda wave: [whole.run(None, {"input_1": w[None]}) for w in dnsmos.windows(wave)],
        "transcribe_context_10s": lambda wave: recognisers.transcribe(hear[10], wave),
        "transcribe_context_30s": lambda wave: recognisers.transcribe(hear[30], wave),
    }
    found = {}
    for name, function in functions.items():
        function(waves[0])
        start = time.perf_counter()
        for wave in waves:
            function(wave)
        found[name] = (time.perf_counter() - start) / len(waves)
    return found


def measure(
    count: Annotated[int, typer.Option("--files")] = 40,
    seconds: Annotated[float, typer.Option(help="duration of each file")] = 4.0,
    jobs: Annotated[int, typer.Option()] = 2,
    rounds: Annotated[int, typer.Option()] = 3,
    models: Annotated[bool, typer.Option("--models")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print the measurements as JSON or as lines."""
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(Path(folder), count, seconds)
        found: dict = {"cpu_metrics": compare(files, jobs, rounds)}
        if models:
            found["seconds_per_utterance"] = networks(files[:10])
    print(json.dumps(found, indent=1) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))


main = command_line(measure)

if __name__ == "__main__":
    raise SystemExit(main())
