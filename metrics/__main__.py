"""Command line: `score`, `transcribe`, `list`, `docs`."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a process; before any library starts its own

import argparse
import json
import sys
from pathlib import Path

from metrics import inputs, registry, scorer, transcripts
from metrics.contract import Metric
from metrics.judges import recognisers
from metrics.utterance import Rules
from speechbase.files import UserError, check_output, parse_json, plain_errors, write_json

DEFAULT_METRICS = "pesq,si_sdr,mcd"


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m metrics", description="Speech metrics.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    score = commands.add_parser("score", help="score files, folders, a table, or a system on a test set")
    score.add_argument("--reference", type=Path, metavar="R", help="clean file or folder")
    score.add_argument("--estimate", type=Path, metavar="E", help="file or folder to be judged")
    score.add_argument("--mixture", type=Path, metavar="M", help="file or folder that the system heard (for SI-SDRi)")
    score.add_argument("--prompt", type=Path, metavar="P", help="file or folder of prompts (for SIM)")
    score.add_argument("--text", metavar="T", help="reference text, a .txt file, or a folder of them")
    score.add_argument(
        "--manifest", type=Path, metavar="CSV", help="test set, or a table with id, estimate, reference, ..."
    )
    score.add_argument("--index", type=Path, metavar="CSV", help="audio index of a system on the test set")
    score.add_argument(
        "--text-column", default="text", metavar="NAME", help="the manifest's column with what was to be said"
    )
    score.add_argument(
        "--transcripts", type=Path, action="append", default=[], metavar="JSONL", help="one a recogniser"
    )
    score.add_argument("--metrics", default=DEFAULT_METRICS, metavar="A,B", help=f"default: {DEFAULT_METRICS}")
    score.add_argument("--asr", action="append", default=[], metavar="JSON", help="recogniser, without transcripts")
    score.add_argument("--config", default="{}", metavar="JSON", help="settings (docs/metrics.md)")
    score.add_argument("--resample", action="store_true", help="allow files of different or lower rates")
    score.add_argument("--channel", type=int, metavar="N", help="channel of multi-channel files, from 0")
    score.add_argument("--out", type=Path, metavar="DIR", help="folder for <metric>.jsonl and summary.json")
    score.add_argument(
        "--features", type=Path, metavar="DIR", help="keep what is computed of references alone, for the next system"
    )
    score.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="processes")
    score.add_argument("--json", action="store_true", help="print rows and summary as JSON")
    score.set_defaults(run=_score)

    hear = commands.add_parser("transcribe", help="transcribe audio indexes; the model is loaded once")
    hear.add_argument("--index", type=Path, action="append", required=True, metavar="CSV")
    hear.add_argument("--asr", required=True, metavar="JSON", help='such as {"model": "whisper_base"}')
    hear.add_argument("--out", type=Path, action="append", required=True, metavar="JSONL", help="one for each index")
    hear.add_argument("--channel", type=int, metavar="N", help="channel of multi-channel files, from 0")
    hear.set_defaults(run=_transcribe)

    commands.add_parser("list", help="name the metrics").set_defaults(run=_list)
    docs = commands.add_parser("docs", help="print docs/metrics.md")
    docs.set_defaults(run=_docs)
    return parser


def _score(options: argparse.Namespace) -> int:
    from metrics import reports  # it loads SciPy, which scoring processes need not

    metrics = registry.find_all(name.strip() for name in options.metrics.split(",") if name.strip())
    config = parse_json(options.config, "--config")
    if options.resample:
        config["resample"] = True
    if options.channel is not None:
        config["channel"] = options.channel
    rules = scorer.configure(config, metrics).rules
    asked = {asr.get("name", asr.get("model")): asr for asr in (parse_json(text, "--asr") for text in options.asr)}
    for settings in asked.values():
        recognisers.resolve(settings)
    if options.out:
        check_output(options.out, folder=True)
    if options.features:
        check_output(options.features, folder=True)
    utterances = _with_recognisers(_utterances(options), metrics, asked, options.transcripts, rules)
    rows = scorer.score(
        utterances, metrics, config, out=options.out, features=options.features, jobs=max(1, options.jobs)
    )
    speakers = {files.id: files.speaker for files in utterances}
    summaries = reports.summaries(rows, speakers)
    if options.out:
        write_json(options.out / "summary.json", summaries)
    if options.json:
        print(json.dumps({"summary": summaries, "rows": rows}, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print(reports.table(summaries, colour=sys.stdout.isatty()))
        if said := reports.reasons(rows):
            print(said)
    return 0


def _utterances(options: argparse.Namespace) -> list[inputs.Files]:
    if options.manifest:
        if options.reference or options.estimate or options.mixture or options.prompt or options.text:
            raise UserError("Give either --manifest or --reference and --estimate: a manifest names its own files.")
        return inputs.from_manifest(options.manifest, options.index, options.transcripts, options.text_column)
    if not options.estimate:
        raise UserError("Say what is to be judged: --estimate (and --reference), or --manifest.")
    if options.index or options.transcripts:
        raise UserError("--index and --transcripts belong to a --manifest.")
    return inputs.from_files(options.reference, options.estimate, options.mixture, options.prompt, options.text)


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


def _transcribe(options: argparse.Namespace) -> int:
    if len(options.index) != len(options.out):
        raise UserError(
            f"{len(options.index)} indexes but {len(options.out)} outputs; give one --out for each --index."
        )
    if options.channel is not None and options.channel < 0:
        raise UserError("Channels are counted from 0.")
    asr, rules = parse_json(options.asr, "--asr"), Rules(channel=options.channel)
    for out in options.out:
        check_output(out)
    for index, out in zip(options.index, options.out, strict=True):
        rows = transcripts.transcribe_index(index, asr, out, rules)
        failed = sum(row["status"] != "ok" for row in rows)
        print(f"{out}: {len(rows)} utterances" + (f", {failed} without a transcript" if failed else ""))
    return 0


def _docs(options: argparse.Namespace) -> int:
    from metrics import reports

    print(reports.markdown(registry.families()), end="")
    return 0


def _list(options: argparse.Namespace) -> int:
    for metric in registry.families():
        print(f"{metric.name:24} {metric.definition}")
    print("{asr} is a recogniser: whisper_base, whisper_tiny_en, or one that --asr or --transcripts brings.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
