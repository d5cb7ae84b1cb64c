# Claims, Figure 2's curves and the HTML report, from what the tables were made of.
# Read as plain data: workflow.claims.judge checks every cell, but its libraries would cost each call of Snakemake seconds.
CLAIMS = planning.read_yaml(planning.ROOT / "workflow" / "presets" / "claims.yaml")[
    "claims"
]
PAPER_TABLES = [
    name
    for name, preset in PRESETS.items()
    if name.startswith(("table", "fig"))
    and "sweep" not in preset
    and planning.has_something(preset, ABSENT, MEASURES)
]
LARGER_TABLES = {
    entry["larger"]
    for claim in CLAIMS
    for entry in claim["compare"]
    if "larger" in entry
}
CLAIM_TABLES = sorted(
    {claim["table"] for claim in CLAIMS} - {"fig4"} | LARGER_TABLES & set(PAPER_TABLES)
)
FIG2_MODELS = [
    name for name in config["models"] if name.startswith(("fig2_enh_", "fig2_sep_"))
]

# Of a model that was trained in several runs, those that ship, or all where none does.
TRAINED_MODELS = [
    name
    for name, entry in config["models"].items()
    if entry["kind"] in ("codec", "tts", "multitask")
    and (name in SHIPPED or not SHIPPED)
    and name not in ON_REQUEST_MODELS
]


rule fig2_curves:
    input:
        curves=expand("<models>/{name}/curves.jsonl", name=FIG2_MODELS),
        src=sources("workflow.tables.figures"),
    output:
        figure=report(
            "<results>/fig2.png",
            caption="../report/fig2.rst",
            category="Figures",
        ),
        record="<results>/fig2_curves.provenance.json",
    log:
        "<logs>/fig2_curves.log",
    conda:
        "../../environment.yml"
    params:
        models=lambda wildcards: f"models/{SCALE}",
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.curves:q}"
        " --outputs {output.figure:q} --"
        " python -m workflow.tables.figures curves --models {params.models:q} --out {output.figure:q}"


rule training_curves:
    input:
        curves=expand("<models>/{name}/curves.jsonl", name=TRAINED_MODELS),
        src=sources("workflow.tables.figures"),
    output:
        figure=report(
            "<results>/training.png",
            caption="../report/training.rst",
            category="Figures",
        ),
        record="<results>/training.provenance.json",
    log:
        "<logs>/training_curves.log",
    conda:
        "../../environment.yml"
    params:
        models=lambda wildcards: f"models/{SCALE}",
        names=TRAINED_MODELS,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.curves:q}"
        " --outputs {output.figure:q} --"
        " python -m workflow.tables.figures training --models {params.models:q} --names {params.names:q} --out {output.figure:q}"


rule claims:
    input:
        preset="workflow/presets/claims.yaml",
        tables=expand("<results>/{table}.csv", table=CLAIM_TABLES),
        toy="<results>/fig4_seeds.csv",
        curves="<results>/fig2.png",
        src=sources("workflow.claims.judge"),
    output:
        csv="<results>/claims.csv",
        comparisons="<results>/claims_comparisons.csv",
        markdown="<results>/claims.md",
        record="<results>/claims.provenance.json",
    log:
        "<logs>/claims.log",
    conda:
        "../../environment.yml"
    params:
        results=lambda wildcards, output: Path(output.csv).parent,
        data=f"data/{SCALE}",
        models=f"models/{SCALE}",
        settings=json.dumps(
            {
                key: config["evaluation"][key]
                for key in ("metrics", "bootstrap_draws", "min_scored")
            }
            | {"seed": config["seed"], "absent": ABSENT}
        ),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.settings:q}"
        " --inputs {input.preset:q} {input.tables:q} {input.toy:q}"
        " --outputs {output.csv:q} {output.comparisons:q} {output.markdown:q} --"
        " python -m workflow.claims.judge --results {params.results:q} --data {params.data:q}"
        " --models {params.models:q} --settings {params.settings:q} --out {output.csv:q}"


rule report_page:
    input:
        claims="<results>/claims.csv",
        tables=expand("<results>/{table}.csv", table=PAPER_TABLES),
        figures=expand("<results>/{name}.png", name=["fig2", "fig4", "training"]),
        sweeps=SWEEP_FIGURES,
        src=sources("workflow.report.__main__"),
        templates=[
            str(path) for path in sorted(Path("workflow/report/templates").iterdir())
        ],
    output:
        page="<results>/report/index.html",
        single=report(
            "<results>/report.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        "<logs>/report.log",
    conda:
        "../../environment.yml"
    params:
        results=lambda wildcards, output: Path(output.single).parent,
        data=f"data/{SCALE}",
        models=f"models/{SCALE}",
        settings=json.dumps({**config, "absent": ABSENT}),
    shell:
        "python -m workflow.report --results {params.results:q} --data {params.data:q} --models {params.models:q}"
        " --settings {params.settings:q} --out {output.page:q} --single {output.single:q} > {log:q} 2>&1"


rule report:
    input:
        rules.report_page.output,
