"""python -m metrics.listening prepare|serve|import|analyse|report|simulate|pay|purge"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from speechbase.commands import command_line, words
from speechbase.files import check_output, parse_json

Study = Annotated[Path, typer.Argument(help="folder of a prepared study")]


def prepare(
    study: Annotated[str, typer.Option(help="tts, editing, enhancement, separation, or a study file")],
    testsets: Annotated[Path, typer.Option(help="folder of the test-set tables")],
    audio: Annotated[Path, typer.Option(help="folder of <set>/<system>/index.csv")],
    out: Annotated[Path, typer.Option(help="folder of the study")],
    config: Annotated[str, typer.Option(help="JSON that is merged over the study file")] = "{}",
    keep: Annotated[bool, typer.Option("--keep", help="leave a study that has received answers as it is")] = False,
) -> None:
    """Make the public and private trees from a study file and the audio of a table."""
    from metrics.listening.prepare import prepare
    from metrics.listening.study import load

    check_output(out, folder=True)
    made = prepare(load(study, parse_json(config, "--config")), testsets, audio, out, keep=keep)
    print(f"{out}: {made['clips']} clips, {made['lists']} lists, pre-registration {made['preregistration'][:16]}")
    for note in made["notes"]:
        print(f"note: {note}")
    print(f"next: read {out}/private/checklist.md")


def serve(
    study: Study,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 8765,
    origin: Annotated[list[str] | None, typer.Option(help="another site that may send answers (repeatable)")] = None,
) -> None:
    """Serve a prepared study and collect its answers."""
    from metrics.listening.collector import make_server

    server = make_server(study, host, port, tuple(origin or ()))
    print(
        f"http://{host}:{server.server_port}/ (stop with Ctrl-C; answers go to {study}/private/answers.jsonl)",
        flush=True,
    )
    if host not in ("127.0.0.1", "::1"):
        print("warning: reachable from outside and without encryption; put an HTTPS proxy before it.", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("stopped")


def import_(
    study: Study,
    prolific: Annotated[
        Path | None, typer.Option(help="Prolific's export (default: private/prolific_export.csv)")
    ] = None,
    answers: Annotated[list[Path] | None, words("answer files besides the collector's", "FILE")] = None,
) -> None:
    """Join the answers with Prolific's export."""
    from metrics.listening.importing import import_study

    made = import_study(study, prolific, answers or [])
    print(f"{study}: {made['used']} of {made['submissions']} submissions, {made['ratings']} ratings")
    for reason, count in made["left_out"].items():
        print(f"left out: {count} {reason}")


def analyse(study: Study) -> None:
    """Discard, average and compare; writes mos.csv."""
    from metrics.listening.analyse import analyse_study

    print(f"wrote {analyse_study(study)}")


def report(study: Study) -> None:
    """Write report/index.html, one file that opens anywhere."""
    from metrics.listening.report import write_report

    print(f"wrote {write_report(study)}")


def simulate(
    study: Study,
    seed: Annotated[int, typer.Option()] = 1,
    careless: Annotated[float, typer.Option(help="share of participants who do not listen")] = 0.1,
) -> None:
    """Run the whole road on invented, marked answers in <study>/simulated/."""
    from metrics.listening.simulate import simulate_study

    print(f"wrote {simulate_study(study, seed=seed, careless=careless)} (SIMULATED)")


def pay(study: Study) -> None:
    """Who is paid what: approvals, the hourly rate that was reached, top-ups."""
    from metrics.listening.pay import pay_study

    print(pay_study(study))


def purge(
    study: Study,
    yes: Annotated[bool, typer.Option("--yes", help="do it; without it, only say what would be deleted")] = False,
) -> None:
    """Delete every Prolific id of a study."""
    from metrics.listening.purge import purge_study

    print(purge_study(study, sure=yes))


main = command_line(
    about="Listening studies for Prolific.",
    prepare=prepare,
    serve=serve,
    import_=import_,
    analyse=analyse,
    report=report,
    simulate=simulate,
    pay=pay,
    purge=purge,
)

if __name__ == "__main__":
    raise SystemExit(main())
