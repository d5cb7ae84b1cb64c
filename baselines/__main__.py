"""`python -m baselines run METHOD [--checkpoint C] --manifest M.csv --out DIR` and `python -m baselines list`."""

from __future__ import annotations

import argparse
from pathlib import Path

from baselines import registry
from speechbase.files import parse_json, plain_errors
from speechbase.systems.runner import run_manifest


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 when an index was written, 2 for a user's error."""
    parser = argparse.ArgumentParser(prog="python -m baselines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one system over one test set")
    run.add_argument("method", help="a name from `list`")
    run.add_argument(
        "--checkpoint", default="", help="one of the method's checkpoints; the first on its card by default"
    )
    run.add_argument("--manifest", type=Path, required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--device", default="cpu")
    listing = commands.add_parser(
        "list", help="methods with their checkpoints, whose numbers these are, why one cannot run"
    )
    for command in (run, listing):
        command.add_argument(
            "--config", default="{}", help="JSON: {weights_dir, models_dir, seed, METHOD: {changed settings}}"
        )
    options = parser.parse_args(arguments)
    config = parse_json(options.config, "--config")
    if options.command == "list":
        return _list(config)
    baseline = registry.configured(config, options.method, options.checkpoint)
    run_manifest(baseline, options.manifest, options.out, options.device)
    return 0


def _list(config: dict) -> int:
    listed = [
        (method, registry.configured(config, method, card.checkpoint))
        for method, cards in registry.methods().items()
        for card in cards
    ]
    for method, baseline in listed:
        reason = baseline.skip()
        state = "runs" if reason is None else f"skipped: {reason}"
        print(f"{method:<23} {baseline.card.checkpoint:<20} {baseline.card.provenance:<17} {state}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
