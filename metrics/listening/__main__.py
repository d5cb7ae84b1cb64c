"""python -m metrics.listening prepare|serve|import|analyse|report|simulate|pay|purge"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from speechbase.files import check_output, parse_json, plain_errors


def prepare(args) -> None:
    """Make the public and private trees from a study file and the audio of a table."""
    from metrics.listening.prepare import prepare
    from metrics.listening.study import load

    check_output(args.out, folder=True)
    made = prepare(
        load(args.study, parse_json(args.config, "--config")), args.testsets, args.audio, args.out, keep=args.keep
    )
    print(f"{args.out}: {made['clips']} clips, {made['lists']} lists, pre-registration {made['preregistration'][:16]}")
    for note in made["notes"]:
        print(f"note: {note}")
    print(f"next: read {args.out}/private/checklist.md")


def serve(args) -> None:
    """Serve a prepared study and collect its answers."""
    from metrics.listening.collector import make_server

    server = make_server(args.study, args.host, args.port, tuple(args.origin))
    print(
        f"http://{args.host}:{server.server_port}/ (stop with Ctrl-C; answers go to {args.study}/private/answers.jsonl)",
        flush=True,
    )
    if args.host not in ("127.0.0.1", "::1"):
        print("warning: reachable from outside and without encryption; put an HTTPS proxy before it.", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")


def import_(args) -> None:
    """Join the answers with Prolific's export."""
    from metrics.listening.importing import import_study

    made = import_study(args.study, args.prolific, args.answers)
    print(f"{args.study}: {made['used']} of {made['submissions']} submissions, {made['ratings']} ratings")
    for reason, count in made["left_out"].items():
        print(f"left out: {count} {reason}")


def analyse(args) -> None:
    """Discard, average and compare; writes mos.csv."""
    from metrics.listening.analyse import analyse_study

    print(f"wrote {analyse_study(args.study)}")


def report(args) -> None:
    """Write report/index.html, one file that opens anywhere."""
    from metrics.listening.report import write_report

    print(f"wrote {write_report(args.study)}")


def simulate(args) -> None:
    """Run the whole road on invented, marked answers in <study>/simulated/."""
    from metrics.listening.simulate import simulate_study

    print(f"wrote {simulate_study(args.study, seed=args.seed, careless=args.careless)} (SIMULATED)")


def pay(args) -> None:
    """Who is paid what: approvals, the hourly rate that was reached, top-ups."""
    from metrics.listening.pay import pay_study

    print(pay_study(args.study))


def purge(args) -> None:
    """Delete every Prolific id of a study."""
    from metrics.listening.purge import purge_study

    print(purge_study(args.study, sure=args.yes))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="python -m metrics.listening", description="Listening studies for Prolific.")
    commands = main.add_subparsers(required=True, metavar="command")

    def command(name: str, action) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=action.__doc__, description=action.__doc__)
        one.set_defaults(action=action)
        return one

    one = command("prepare", prepare)
    one.add_argument("--study", required=True, help="tts, editing, enhancement, separation, or a study file")
    one.add_argument("--testsets", required=True, type=Path, help="folder of the test-set tables")
    one.add_argument("--audio", required=True, type=Path, help="folder of <set>/<system>/index.csv")
    one.add_argument("--out", required=True, type=Path, help="folder of the study")
    one.add_argument("--config", default="{}", help="JSON that is merged over the study file")
    one.add_argument("--keep", action="store_true", help="leave a study that has received answers as it is")
    one = command("serve", serve)
    one.add_argument("study", type=Path)
    one.add_argument("--host", default="127.0.0.1")
    one.add_argument("--port", type=int, default=8765)
    one.add_argument("--origin", action="append", default=[], help="another site that may send answers (repeatable)")
    one = command("import", import_)
    one.add_argument("study", type=Path)
    one.add_argument("--prolific", type=Path, help="Prolific's export (default: private/prolific_export.csv)")
    one.add_argument("--answers", type=Path, nargs="*", default=[], help="answer files besides the collector's")
    command("analyse", analyse).add_argument("study", type=Path)
    command("report", report).add_argument("study", type=Path)
    one = command("simulate", simulate)
    one.add_argument("study", type=Path)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--careless", type=float, default=0.1, help="share of participants who do not listen")
    command("pay", pay).add_argument("study", type=Path)
    one = command("purge", purge)
    one.add_argument("study", type=Path)
    one.add_argument("--yes", action="store_true", help="do it; without it, only say what would be deleted")
    return main


@plain_errors
def main() -> None:
    args = parser().parse_args()
    args.action(args)


if __name__ == "__main__":
    main()
