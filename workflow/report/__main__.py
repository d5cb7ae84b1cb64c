"""Write the report: a folder (`index.html` with its media beside it) and one file that holds everything.

python -m workflow.report --results R --data D --models M --settings JSON --out R/report/index.html --single
R/report.html
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jinja2
import typer
from markupsafe import Markup

from speechbase.commands import command_line, json_object
from speechbase.files import write_text
from workflow.plan import places, preset_files
from workflow.record import provenance
from workflow.record.options import Data, Models, Results
from workflow.report import collect, examples, media

TEMPLATES = Path(__file__).parent / "templates"
FIGURES = {
    "training": "Training: losses, validation losses by task, token accuracy by task and by level, and the text gap "
    "(what the loss rises without the transcript)",
    "fig4": "Figure 4: the toy study, with exact scores",
    "fig4_sweeps": "Figure 4, swept: how close to the target against the strength of either composition",
}


@dataclass(frozen=True)
class Place:
    """Where a run lies, and how many utterances a test set are heard."""

    results: Path
    data: Path
    models: Path
    examples: int


def write(
    results: Results,
    data: Data,
    models: Models,
    settings: Annotated[dict, json_object("--settings", "the configuration, and `absent` (system -> reason)")],
    out: Annotated[Path, typer.Option(help="index.html; its folder is replaced")],
    single: Annotated[Path, typer.Option(help="the same in one file")],
    examples: Annotated[int, typer.Option(help="utterances a test set to listen to")] = 3,
) -> None:
    """Write the report: a folder (`index.html` with its media beside it) and one file that holds everything."""
    collect.check_folder(results)
    place = Place(results, data, models, examples)
    whole = page(place, settings, media.Inside(), guide(single.parent))
    building = out.parent.with_name(f".part-{out.parent.name}")
    shutil.rmtree(building, ignore_errors=True)
    write_text(building / out.name, page(place, settings, media.Folder(building / "media"), guide(out.parent)))
    shutil.rmtree(out.parent, ignore_errors=True)
    building.rename(out.parent)
    write_text(single, whole)


def guide(folder: Path) -> str | None:
    """How a page in a folder of the checkout leads to the guide of the command line; None from elsewhere."""
    if places.ROOT not in folder.resolve().parents:
        return None
    return os.path.relpath(places.ROOT / "docs" / "use.md", folder.resolve())


def page(place: Place, settings: dict, store: media.Folder | media.Inside, guide: str | None) -> str:
    """The page's HTML, its media put where `store` puts them; `guide`: the address of docs/use.md."""
    presets = preset_files.read_presets()
    evaluation = settings["evaluation"]
    claims = collect.claims(place.results)
    plain = preset_files.of_kind(presets, *preset_files.PAPER_KINDS) | preset_files.of_kind(presets, "frozen", "seeds")
    neighbours = preset_files.of_kind(presets, preset_files.NEIGHBOURS)
    plain |= {name: preset for name, preset in neighbours.items() if (place.results / f"{name}.csv").is_file()}
    run = examples.Run(place.results, place.data, plain, evaluation["metrics"], _judge(evaluation))
    tables = [
        found for name, preset in plain.items() if (found := collect.table(preset, place.results / f"{name}.csv"))
    ]
    models = collect.models(place.models, settings["models"])
    heard = [found for name in examples.sets_of(plain) for found in examples.examples(run, name, place.examples, store)]
    heard += examples.training(place.models, settings["models"], store)
    return (
        _environment()
        .get_template("page.html")
        .render(
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
            script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
            scale=collect.scale_of(settings),
            guide=guide,
            claims=claims,
            counts=collect.counts(claims),
            tables=tables,
            figures=_figures(plain, place.results, store),
            sweeps=_with_pictures(collect.sweeps(presets, place.results), store),
            examples=heard,
            floor=f"{media.FLOOR_DB:.0f}",
            models=models,
            gaps=collect.gaps(tables, claims, settings.get("absent", {})),
            provenance=_provenance(place, settings),
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
    named = {f"{name}_confusion": f"{preset['title']}: labels and answers" for name, preset in presets.items()}
    titles = drawn | FIGURES | named
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


def _provenance(place: Place, settings: dict) -> dict:
    records = collect.records(place.results, place.models, place.data)
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


main = command_line(write)


if __name__ == "__main__":
    raise SystemExit(main())
