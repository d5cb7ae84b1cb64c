"""Write the report: a folder (`index.html` with its media beside it) and one file that holds everything.

python -m workflow.report --results R --data D --models M --settings JSON --out R/report/index.html --single R/report.html
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import jinja2
from markupsafe import Markup

from speechbase.files import plain_errors, write_text
from workflow.plan import planning
from workflow.record import provenance
from workflow.report import collect, examples, media

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = {
    "training": "Training: losses, validation losses by task, and the text gap (what the loss rises without the transcript)",
    "fig4": "Figure 4: the toy study, with exact scores",
    "fig4_sweeps": "Figure 4, swept: how close to the target against the strength of either composition",
}


@plain_errors
def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workflow.report", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON: the configuration, and `absent` (system -> reason)")
    parser.add_argument("--out", type=Path, required=True, help="index.html; its folder is replaced")
    parser.add_argument("--single", type=Path, required=True, help="the same in one file")
    parser.add_argument("--examples", type=int, default=3, help="utterances a test set to listen to (default 3)")
    options = parser.parse_args(arguments)
    collect.check_folder(options.results)
    settings = provenance.parse_settings(options.settings)
    single = page(options, settings, media.Inside())
    building = options.out.parent.with_name(f".part-{options.out.parent.name}")
    shutil.rmtree(building, ignore_errors=True)
    write_text(building / options.out.name, page(options, settings, media.Folder(building / "media")))
    shutil.rmtree(options.out.parent, ignore_errors=True)
    building.rename(options.out.parent)
    write_text(options.single, single)


def page(options: argparse.Namespace, settings: dict, store: media.Folder | media.Inside) -> str:
    """The page's HTML, its media put where `store` puts them."""
    presets = planning.read_presets()
    evaluation = settings["evaluation"]
    claims = collect.claims(options.results)
    plain = planning.of_kind(presets, *planning.PAPER_KINDS) | planning.of_kind(presets, "frozen", "seeds")
    run = examples.Run(options.results, options.data, plain, evaluation["metrics"], _judge(evaluation))
    tables = [
        found for name, preset in plain.items() if (found := collect.table(preset, options.results / f"{name}.csv"))
    ]
    models = collect.models(options.models, settings["models"])
    heard = [
        found for name in examples.sets_of(plain) for found in examples.examples(run, name, options.examples, store)
    ]
    heard += examples.training(options.models, settings["models"], store)
    return (
        _environment()
        .get_template("page.html")
        .render(
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
            script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
            scale=collect.scale_of(settings),
            claims=claims,
            counts=collect.counts(claims),
            tables=tables,
            figures=_figures(plain, options.results, store),
            sweeps=_with_pictures(collect.sweeps(presets, options.results), store),
            examples=heard,
            floor=f"{media.FLOOR_DB:.0f}",
            models=models,
            gaps=collect.gaps(tables, claims, settings.get("absent", {})),
            provenance=_provenance(options, settings),
        )
    )


def _judge(evaluation: dict) -> str:
    """The recogniser behind the column WER: its transcripts are shown."""
    metric = evaluation["metrics"]["wer"]
    return next(name for name in evaluation["asr"] if metric.endswith(f"_{name}"))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = lambda text: text.replace(" ", "-")
    environment.filters["breakable"] = lambda text: Markup("_<wbr>").join(str(text).split("_"))
    return environment


def _figures(presets: dict[str, dict], results: Path, store) -> list[dict]:
    drawn = {name: f"{preset['source']}: validation losses" for name, preset in presets.items() if "curves" in preset}
    titles = drawn | FIGURES
    paths = {name: results / f"{name}.png" for name in titles}
    return [
        {"name": name, "title": titles[name], "picture": store.picture(name, path.read_bytes())}
        for name, path in paths.items()
        if path.is_file()
    ]


def _with_pictures(sweeps: list[dict], store) -> list[dict]:
    for sweep in sweeps:
        if sweep["picture"]:
            sweep["picture"] = store.picture(sweep["name"], sweep["picture"].read_bytes())
    return sweeps


def _provenance(options: argparse.Namespace, settings: dict) -> dict:
    records = collect.records(options.results, options.models, options.data)
    return {
        "code": provenance.code(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "seed": settings["seed"],
        "records": records,
        "minutes": round(sum(row["wall_s"] for row in records) / 60),
        "peak_mb": round(max((row["peak_memory_mb"] for row in records), default=0)),
        "weights": collect.weights(records),
        "config": json.dumps(settings, indent=1, ensure_ascii=False),
    }


if __name__ == "__main__":
    main()
