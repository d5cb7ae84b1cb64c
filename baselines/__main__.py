"""`python -m baselines run NAME --manifest M.csv --out DIR` and `python -m baselines list`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from baselines import registry
from speechbase.files import UserError, plain_errors
from speechbase.systems.contract import Baseline
from speechbase.systems.runner import run_manifest

SHARED = ("weights_dir", "models_dir", "seed")


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
    listing = commands.add_parser("list", help="the systems, their provenance and why one cannot run")
    for command in (run, listing):
        command.add_argument(
            "--config", default="{}", help="JSON: {weights_dir, models_dir, seed, NAME: {changed settings}}"
        )
    options = parser.parse_args(arguments)
    config = _config(options.config)
    if options.command == "list":
        return _list(config)
    baseline = _create(options.name, config)
    run_manifest(baseline, options.manifest, options.out, options.device)
    return 0


def _create(name: str, config: dict) -> Baseline:
    return registry.create(name, {**{key: config[key] for key in SHARED if key in config}, **config.get(name, {})})


def _config(text: str) -> dict:
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--config is not valid JSON ({error}).") from None
    if not isinstance(config, dict):
        raise UserError("--config must be a JSON object.")
    for name in set(config) - set(SHARED):
        registry.card(name)
    return config


def _list(config: dict) -> int:
    for name in registry.NAMES:
        baseline = _create(name, config)
        reason = baseline.skip()
        print(f"{name:<20} {baseline.card.provenance:<18} {'runs' if reason is None else 'skipped: ' + reason}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
