"""`python -m baselines run NAME --manifest M.csv --out DIR` and `python -m baselines list`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from baselines import registry
from baselines.runner import run_manifest
from fileio.files import UserError, plain_errors


@plain_errors
def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 when an index was written, 2 for a user's error."""
    parser = argparse.ArgumentParser(prog="python -m baselines", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one system over one test set")
    run.add_argument("name", help="a name from `list`")
    run.add_argument("--manifest", type=Path, required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--device", default="cpu")
    run.add_argument("--config", default="{}", help="JSON: overrides of the card's settings, and weights_dir")
    listing = commands.add_parser("list", help="the systems, their provenance and why one cannot run")
    listing.add_argument("--config", default="{}", help="JSON: weights_dir")
    options = parser.parse_args(arguments)
    settings = _settings(options.config)
    if options.command == "list":
        return _list(settings)
    run_manifest(registry.create(options.name, settings), options.manifest, options.out, options.device)
    return 0


def _settings(text: str) -> dict:
    try:
        settings = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--config is not valid JSON ({error}).") from None
    if not isinstance(settings, dict):
        raise UserError("--config must be a JSON object.")
    return settings


def _list(settings: dict) -> int:
    for name in registry.NAMES:
        baseline = registry.create(name, settings)
        reason = baseline.skip()
        print(f"{name:<20} {baseline.card.provenance:<18} {'runs' if reason is None else 'skipped: ' + reason}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
