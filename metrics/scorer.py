"""Runs metrics over utterances: every utterance gets a row of every metric, whatever happens."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field

from metrics import registry
from metrics.contract import Metric, Unscorable, Value
from metrics.features import content
from metrics.judges import packaged
from metrics.judges.blas import one_thread
from metrics.utterance import Files, Rules, Utterance
from speechbase.files import UserError, append_jsonl, read_jsonl, write_jsonl
from speechbase.settings import Natural, Settings, checked

Job = tuple[str, dict, str, str]  # metric's name, its settings, its version, key of its inputs
Done = dict[str, dict]  # key of the inputs -> finished row
Weights = Literal["wavlm_large", "hubert_base", "wavlm_tdcnn"]
REASON = 500  # characters of an unforeseen error that a row keeps


class General(Settings):
    """What holds for all metrics of a run."""

    resample: bool = False
    channel: Natural | None = None
    weights: dict[Weights, str] = Field(default_factory=dict)
    device: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True)
class Config:
    """Settings of a run: rules for audio files, weights and device of large models, and settings of single metrics."""

    rules: Rules
    weights: Mapping[str, str]
    device: str
    of_metrics: Mapping[str, Mapping[str, Any]]

    def settings(self, metric: Metric) -> dict[str, Any]:
        """All that `metric.compute` is given."""
        own = {**metric.settings().model_dump(), **self.of_metrics.get(metric.name, {})}
        return {**own, "asr": metric.asr, "weights": dict(self.weights), "device": self.device}


def configure(config: Mapping[str, Any], metrics: Sequence[Metric]) -> Config:
    """Check a configuration.

    Raises:
        UserError: a key that is neither general nor a metric's name, an unknown setting, a value of a wrong type or out
            of range, or a device that is not there.
    """
    general, of_metrics = check_settings(config, metrics)
    if general.device == "cuda" and not _has_cuda():
        raise UserError("The configuration's device is 'cuda', and there is no CUDA device here; take 'cpu'.")
    weights = {str(model): path for model, path in general.weights.items()}
    return Config(Rules(general.resample, general.channel), weights, general.device, of_metrics)


def check_settings(
    config: Mapping[str, Any], metrics: Sequence[Metric] = ()
) -> tuple[General, dict[str, dict[str, Any]]]:
    """What of a configuration is general, and what is a metric's. Raises: UserError: as `configure`, but for the
    device."""
    known = General.model_fields
    general = checked(General, {key: config[key] for key in config if key in known}, "the configuration")
    asked = {metric.name: metric for metric in metrics}
    of_metrics = {}
    for name in (key for key in config if key not in known):
        metric = asked.get(name) or registry.find(name)
        of_metrics[name] = checked(metric.settings, config[name], f"metric {name}").model_dump()
    return general, of_metrics


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def score(
    utterances: Sequence[Files],
    metrics: Sequence[Metric],
    config: Mapping[str, Any] | None = None,
    *,
    out: Path | None = None,
    features: Path | None = None,
    jobs: int = 1,
) -> dict[str, list[dict]]:
    """Rows of each metric, in the utterances' order.

    Args:
        config: see `configure`.
        out: folder for <metric>.jsonl; rows that are there already, or that an interrupted run left, are used again if
            the metric's version, its settings and everything that the value depends on are the same.
        features: folder for what is computed of references and prompts alone, used again for the next system.
        jobs: processes for the metrics that run no network; these stay in this process, where each is loaded once.
    """
    configured = configure(config or {}, metrics)
    store = _Store(out, metrics)
    tasks = [(files, _jobs(files, metrics, configured)) for files in utterances]
    models = {metric.name for metric in metrics if metric.model}
    light: list[tuple] = []
    heavy: list[tuple] = []
    for files, of_files in tasks:
        todo = [job for job in of_files if job[3] not in store.done]
        for some, into in (
            ([j for j in todo if j[0] not in models], light),
            ([j for j in todo if j[0] in models], heavy),
        ):
            if some:
                into.append((files, configured.rules, some, features))
    with _pool(min(jobs, len(light))) as pool:
        waiting = [pool.submit(score_one, *task) for task in light] if pool else []
        for task in heavy if pool else [*light, *heavy]:
            store.add(score_one(*task))
            waiting = store.add_finished(waiting)
        for future in waiting:
            store.add(future.result())
    return store.finish(tasks)


def score_one(files: Files, rules: Rules, jobs: Sequence[Job], features: Path | None = None) -> list[dict]:
    """Rows of one utterance. Only a UserError (a missing model, say) escapes: any other failure is a row with its
    reason."""
    utterance = Utterance(files, rules, features)
    rows = []
    for name, settings, version, key in jobs:
        metric = registry.find(name)
        utterance.version = version
        row: dict[str, Any] = {
            "id": files.id,
            "metric": name,
            "value": None,
            "status": "ok",
            "detail": {},
            "version": version,
        }
        try:
            utterance.check(metric)
            with one_thread():
                value = metric.compute(utterance, settings)
            row |= _outcome(value)
        except Unscorable as reason:
            row |= {"status": reason.status, "detail": {"reason": reason.reason}}
        except UserError:
            raise
        except Exception as error:
            row |= {"status": "failed", "detail": {"reason": f"{type(error).__name__}: {error}"[:REASON]}}
        rows.append(row | {"inputs": key})
    return rows


def _outcome(value: Value) -> dict:
    if math.isnan(value.value):
        return {"status": "not_a_number", "detail": value.detail}
    if math.isinf(value.value):
        return {"status": "infinite", "detail": {"sign": "+" if value.value > 0 else "-"}}
    return {"value": float(value.value), "detail": value.detail}


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    """Processes with one thread each; None for a single job, which this process does."""
    if jobs <= 1:
        yield None
        return
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in single}
    os.environ.update(single)  # the new processes read these when they load their libraries
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    except BrokenProcessPool:
        raise UserError("A scoring process died (out of memory?); run the same command again with --jobs 1.") from None
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _jobs(files: Files, metrics: Sequence[Metric], config: Config) -> list[Job]:
    jobs = []
    for metric in metrics:
        settings = config.settings(metric)
        version = _version(metric, config)
        own = {key: settings[key] for key in metric.settings.model_fields}
        facts = [
            files.id,
            metric.name,
            version,
            own,
            [config.rules.resample, config.rules.channel],
            _facts(files, metric),
        ]
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        jobs.append((metric.name, settings, version, key))
    return jobs


def _version(metric: Metric, config: Config) -> str:
    """The metric's version, with a fingerprint of weights that the user supplies."""
    used = [path for model, path in sorted(config.weights.items()) if model in metric.name]
    return "; ".join([metric.full_version, *(f"weights {packaged.fingerprint(Path(path))}" for path in used)])


def _facts(files: Files, metric: Metric) -> list:
    """Everything that the value depends on, by content."""
    facts: list = [files.status, content(files.estimate) if metric.audio else None]
    for need in metric.needs:
        if need in ("text", "label", "answer"):
            facts.append(getattr(files, need))
        elif need == "transcript":
            row = files.transcripts.get(metric.asr or "", {})
            facts.append([row.get("text"), row.get("status"), row.get("asr")])
        elif need == "others":
            facts.append([[content(a), content(b)] for a, b in files.others])
        else:
            facts.append(content(getattr(files, need)))
    return facts


class _Store:
    """Finished rows, and the files that keep them. Failures are always tried again."""

    def __init__(self, out: Path | None, metrics: Sequence[Metric]):
        self.out = out
        self.names = [metric.name for metric in metrics]
        self.done: Done = {}
        for name in self.names if out else ():
            for path in (self._final(name), self._unfinished(name)):
                rows = read_jsonl(path) if path.is_file() else []
                self.done |= {row["inputs"]: row for row in rows if row["status"] == "ok" and "inputs" in row}

    def _final(self, name: str) -> Path:
        return cast(Path, self.out) / f"{name}.jsonl"

    def _unfinished(self, name: str) -> Path:
        return cast(Path, self.out) / f".unfinished-{name}.jsonl"

    def add(self, rows: Sequence[dict]) -> None:
        for row in rows:
            self.done[row["inputs"]] = row
            if self.out:
                append_jsonl(self._unfinished(row["metric"]), row)

    def add_finished(self, futures: Sequence[Future]) -> list[Future]:
        """Keep the rows of what other processes finished; returns what they still work on."""
        working = []
        for future in futures:
            if future.done():
                self.add(future.result())
            else:
                working.append(future)
        return working

    def finish(self, tasks: Sequence[tuple[Files, list[Job]]]) -> dict[str, list[dict]]:
        rows: dict[str, list[dict]] = {name: [] for name in self.names}
        for _, jobs in tasks:
            for name, _, _, key in jobs:
                rows[name].append(self.done[key])
        for name in self.names if self.out else ():
            write_jsonl(self._final(name), rows[name])
            self._unfinished(name).unlink(missing_ok=True)
        return rows


def with_transcripts(utterances: Sequence[Files], asr: Mapping[str, Any], rules: Rules | None = None) -> list[Files]:
    """Utterances with what a recogniser hears in their estimates: one pass a file, however many metrics use it."""
    from metrics import transcripts
    from metrics.judges import recognisers

    recogniser = recognisers.resolve(asr)
    heard = []
    for files in utterances:
        row = {"text": "", "status": files.status, "asr": recogniser.description}
        if files.estimate is not None and files.status == "ok":
            row |= transcripts.transcribe_file(files.estimate, recogniser, rules or Rules())
        heard.append(replace(files, transcripts={**files.transcripts, recogniser.name: row}))
    return heard
