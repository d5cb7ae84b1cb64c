"""`python -m baselines run METHOD [--checkpoint C] --manifest M.csv --out DIR` and `python -m baselines list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baselines import registry
from speechbase.commands import command_line
from speechbase.files import parse_json, read_jsonl
from speechbase.systems.runner import run_manifest

Config = Annotated[str, typer.Option(help="JSON: {weights_dir, models_dir, seed, METHOD: {changed settings}}")]


def run(
    method: Annotated[str, typer.Argument(help="a name from `list`")],
    manifest: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    checkpoint: Annotated[str, typer.Option(help="one of the method's; the first on its card by default")] = "",
    device: Annotated[str, typer.Option()] = "cpu",
    transcripts: Annotated[
        Path | None, typer.Option(help="JSON lines: what a recogniser heard in the source, or words with their times")
    ] = None,
    config: Config = "{}",
) -> None:
    """Run one system over one test set."""
    baseline = registry.configured(parse_json(config, "--config"), method, checkpoint)
    if transcripts:
        baseline.transcripts = {row["id"]: row for row in read_jsonl(transcripts)}
    run_manifest(baseline, manifest, out, device)


def show(config: Config = "{}") -> None:
    """List methods with their checkpoints, whose numbers these are, why one cannot run."""
    told = parse_json(config, "--config")
    listed = [
        (method, registry.configured(told, method, card.checkpoint))
        for method, cards in registry.methods().items()
        for card in cards
    ]
    for method, baseline in listed:
        reason = baseline.skip()
        state = "runs" if reason is None else f"skipped: {reason}"
        print(f"{method:<23} {baseline.card.checkpoint:<20} {baseline.card.provenance:<17} {state}")


main = command_line(about="The compared systems.", run=run, list_=show)


if __name__ == "__main__":
    raise SystemExit(main())
