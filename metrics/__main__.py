"""Command line: `score`, `transcribe`, `list`, `docs`."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a process; before any library starts its own

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from metrics import inputs, registry, scorer
from metrics import transcripts as hearing
from metrics.contract import Metric
from metrics.judges import recognisers
from metrics.utterance import Rules
from speechbase.commands import command_line
from speechbase.files import UserError, check_output, parse_json, write_json

DEFAULT_METRICS = "pesq,si_sdr,mcd"


Channel = Annotated[int | None, typer.Option(metavar="N", help="channel of multi-channel files, from 0")]


def score(
    reference: Annotated[Path | None, typer.Option(metavar="R", help="clean file or folder")] = None,
    estimate: Annotated[Path | None, typer.Option(metavar="E", help="file or folder to be judged")] = None,
    mixture: Annotated[
        Path | None, typer.Option(metavar="M", help="file or folder that the system heard (for SI-SDRi)")
    ] = None,
    prompt: Annotated[Path | None, typer.Option(metavar="P", help="file or folder of prompts (for SIM)")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="T", help="reference text, a .txt file, or a folder of them")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="CSV", help="test set, or a table with id, estimate, reference, ...")
    ] = None,
    index: Annotated[Path | None, typer.Option(metavar="CSV", help="audio index of a system on the test set")] = None,
    text_column: Annotated[
        str, typer.Option(metavar="NAME", help="the manifest's column with what was to be said")
    ] = "text",
    transcripts: Annotated[
        list[Path] | None, typer.Option(metavar="JSONL", help="one a recogniser (repeatable)")
    ] = None,
    metrics: Annotated[str, typer.Option(metavar="A,B", help="names from `list`")] = DEFAULT_METRICS,
    asr: Annotated[
        list[str] | None, typer.Option(metavar="JSON", help="recogniser, without transcripts (repeatable)")
    ] = None,
    config: Annotated[str, typer.Option(metavar="JSON", help="settings (docs/metrics.md)")] = "{}",
    resample: Annotated[bool, typer.Option("--resample", help="allow files of different or lower rates")] = False,
    channel: Channel = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="folder for <metric>.jsonl and summary.json")] = None,
    features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="keep what is computed of references alone, for the next system")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="processes")] = len(os.sched_getaffinity(0)),
    as_json: Annotated[bool, typer.Option("--json", help="print rows and summary as JSON")] = False,
) -> None:
    """Score files, folders, a table, or a system on a test set."""
    from metrics import reports  # it loads SciPy, which scoring processes need not

    found = registry.find_all(name.strip() for name in metrics.split(",") if name.strip())
    settings = parse_json(config, "--config")
    if resample:
        settings["resample"] = True
    if channel is not None:
        settings["channel"] = channel
    rules = scorer.configure(settings, found).rules
    asked = {recognisers.resolve(one).name: one for one in (parse_json(told, "--asr") for told in asr or ())}
    for folder in filter(None, (out, features)):
        check_output(folder, folder=True)
    parts = {"reference": reference, "mixture": mixture, "prompt": prompt, "text": text}
    utterances = _utterances(estimate, parts, manifest, index, transcripts or [], text_column)
    utterances = _with_recognisers(utterances, found, asked, transcripts or [], rules)
    rows = scorer.score(utterances, found, settings, out=out, features=features, jobs=jobs)
    summaries = reports.summaries(rows, {files.id: files.speaker for files in utterances})
    if out:
        write_json(out / "summary.json", summaries)
    if as_json:
        print(json.dumps({"summary": summaries, "rows": rows}, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print(reports.table(summaries, colour=sys.stdout.isatty()))
        if said := reports.reasons(rows):
            print(said)


def _utterances(
    estimate: Path | None, parts: dict, manifest: Path | None, index: Path | None, transcripts: list[Path], column: str
) -> list[inputs.Files]:
    if manifest:
        if estimate or any(parts.values()):
            raise UserError("Give either --manifest or --reference and --estimate: a manifest names its own files.")
        return inputs.from_manifest(manifest, index, transcripts, column)
    if not estimate:
        raise UserError("Say what is to be judged: --estimate (and --reference), or --manifest.")
    if index or transcripts:
        raise UserError("--index and --transcripts belong to a --manifest.")
    return inputs.from_files(parts["reference"], estimate, parts["mixture"], parts["prompt"], parts["text"])


def _with_recognisers(utterances: list, metrics: list[Metric], asked: dict, given: list[Path], rules: Rules) -> list:
    """Transcribe for recognisers that metrics name, unless transcripts were given.

    Args:
        asked: recogniser -> its settings; one that is not here has its model's name.
        given: transcript files.
    """
    wanted = dict.fromkeys(metric.asr for metric in metrics if metric.asr)
    if given:
        have = {asr for files in utterances for asr in files.transcripts}
        if missing := [asr for asr in wanted if asr not in have]:
            raise UserError(f"The transcripts are by {sorted(have)}; the metrics ask for {missing[0]!r}.")
        return utterances
    settings = {asr: asked.get(asr, {"model": asr}) for asr in wanted}
    for one in settings.values():
        recognisers.resolve(one)  # a wrong one is found before the first is at work
    for one in settings.values():
        utterances = scorer.with_transcripts(utterances, one, rules)
    return utterances


def transcribe(
    index: Annotated[list[Path], typer.Option(metavar="CSV", help="an audio index (repeatable)")],
    asr: Annotated[str, typer.Option(metavar="JSON", help='such as {"model": "whisper_base"}')],
    out: Annotated[list[Path], typer.Option(metavar="JSONL", help="one for each index")],
    channel: Annotated[int | None, typer.Option(min=0, metavar="N", help="of multi-channel files, from 0")] = None,
) -> None:
    """Transcribe audio indexes; the model is loaded once."""
    if len(index) != len(out):
        raise UserError(f"{len(index)} indexes but {len(out)} outputs; give one --out for each --index.")
    settings, rules = parse_json(asr, "--asr"), Rules(channel=channel)
    for path in out:
        check_output(path)
    for heard, path in zip(index, out, strict=True):
        rows = hearing.transcribe_index(heard, settings, path, rules)
        failed = sum(row["status"] != "ok" for row in rows)
        print(f"{path}: {len(rows)} utterances" + (f", {failed} without a transcript" if failed else ""))


def docs() -> None:
    """Print docs/metrics.md."""
    from metrics import reports

    print(reports.markdown(registry.families()), end="")


def show() -> None:
    """Name the metrics."""
    for metric in registry.families():
        print(f"{metric.name:24} {metric.definition}")
    print("{asr} is a recogniser: whisper_base, whisper_tiny_en, or one that --asr or --transcripts brings.")


main = command_line(about="Speech metrics.", score=score, transcribe=transcribe, list_=show, docs=docs)

if __name__ == "__main__":
    raise SystemExit(main())
