# Claims, validation curves and the HTML report, from what the tables were made of.
# Read as plain data: workflow.claims.judge checks every cell, but its libraries would cost each call of Snakemake
# seconds.
STATED = read_yaml(places.ROOT / "workflow" / "presets" / "claims.yaml")
CLAIMS = STATED["claims"]
PAPER_TABLES = [
    name
    for name, preset in preset_files.of_kind(PRESETS, *preset_files.PAPER_KINDS).items()
    if wanted.has_something(preset, ABSENT, MEASURES)
]
LARGER_TABLES = {
    entry["larger"]
    for claim in CLAIMS
    for entry in claim["compare"]
    if "larger" in entry
}
TOY_TABLES = sorted(
    {claim["table"] for claim in CLAIMS if claim.get("evidence") == "toy"}
)
# Tables of other papers' systems: all of them on request (`snakemake neighbours`); in the claims and the report those
# of which a model ships and none is still to be trained, and those that have been made.
NEIGHBOURS = {
    name: preset
    for name, preset in preset_files.of_kind(PRESETS, preset_files.NEIGHBOURS).items()
    if wanted.cells(preset, ABSENT, MEASURES)
}
NEIGHBOUR_TABLES = [
    name
    for name, preset in NEIGHBOURS.items()
    if set() < wanted.models_needed(preset, SYSTEMS, ABSENT) <= set(SHIPPED)
    or Path(places.results_folder(SCALE), f"{name}.csv").exists()
]
UNMADE = set(preset_files.of_kind(PRESETS, preset_files.NEIGHBOURS)) - set(
    NEIGHBOUR_TABLES
)
CLAIM_TABLES = sorted(
    {claim["table"] for claim in CLAIMS} - set(TOY_TABLES) - UNMADE
    | (LARGER_TABLES | {STATED["second_judge"]["table"]}) & set(PAPER_TABLES)
)
# Tables with validation curves beside them, and the models of each that this scale has.
CURVES = {
    name: [
        model
        for panel in PRESETS[name]["curves"].values()
        for model in panel
        if model in config["models"]
        and (model in HERE or not config["models"][model].get("on_request"))
    ]
    for name in PAPER_TABLES
    if "curves" in PRESETS[name]
}

# Tables of labels, with the metric whose scores hold them.
CONFUSIONS = {
    name: metric
    for name in [*PAPER_TABLES, *NEIGHBOUR_TABLES]
    if (metric := wanted.labelled(PRESETS[name], ABSENT, MEASURES))
}

# Whose training the report draws: what ships, or, where nothing does, SpeechOp's own and the models of the tables of
# other papers' systems that stand in it. Figure 2 draws the others, single speech-to-speech tasks.
OF_NEIGHBOURS = {
    model
    for name in NEIGHBOUR_TABLES
    for model in wanted.models_needed(PRESETS[name], SYSTEMS, ABSENT)
}
TRAINED_MODELS = [
    name
    for name, entry in config["models"].items()
    if entry["kind"] != "s2s"
    and (
        name in SHIPPED
        or not SHIPPED
        and (entry["kind"] in ("codec", "tts", "multitask") or name in OF_NEIGHBOURS)
    )
    and name not in ON_REQUEST_MODELS
    and not entry.get("on_request")
]


rule curves:
    input:
        preset=lambda wildcards: preset_files.preset_file(wildcards.table),
        curves=lambda wildcards: expand(
            "<models>/{name}/curves.jsonl", name=CURVES[wildcards.table]
        ),
    output:
        figure=report(
            "<results>/{table}.png",
            caption="../report/curves.rst",
            category="Figures",
            labels={"figure": "{table}"},
        ),
        record="<results>/{table}_curves.provenance.json",
    log:
        "<logs>/{table}_curves.log",
    wildcard_constraints:
        table=places.any_of(CURVES),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.tables.figures"),
        models=lambda wildcards: f"models/{SCALE}",
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.curves:q}"
        " --outputs {output.figure:q} --"
        " python -m workflow.tables.figures curves --preset {input.preset:q} --models {params.models:q}"
        " --out {output.figure:q}"


rule confusion:
    input:
        preset=lambda wildcards: preset_files.preset_file(wildcards.table),
        scores=lambda wildcards: [
            f"<results>/scores/{name}/{system}/{metric}.jsonl"
            for name, system, metric in wanted.cells(
                PRESETS[wildcards.table], ABSENT, MEASURES
            )
            if metric == CONFUSIONS[wildcards.table]
        ],
    output:
        figure=report(
            "<results>/{table}_confusion.png",
            caption="../report/confusion.rst",
            category="Figures",
            labels={"figure": "{table}, confusions"},
        ),
        record="<results>/{table}_confusion.provenance.json",
    log:
        "<logs>/{table}_confusion.log",
    wildcard_constraints:
        table=places.any_of(CONFUSIONS),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.tables.figures"),
        results=lambda wildcards, output: Path(output.figure).parent,
        metric=lambda wildcards: CONFUSIONS[wildcards.table],
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.scores:q}"
        " --outputs {output.figure:q} --"
        " python -m workflow.tables.figures confusion --preset {input.preset:q} --results {params.results:q}"
        " --metric {params.metric} --out {output.figure:q}"


# On request: runs of several lengths and seeds; those that are not there are trained. The claims read those that are.
rule matched_runs:
    input:
        preset=lambda wildcards: preset_files.preset_file(wildcards.table),
        curves=lambda wildcards: expand(
            "<models>/{name}/curves.jsonl",
            name=trainings.runs_of(
                config,
                [
                    model
                    for panel in PRESETS[wildcards.table]["curves"].values()
                    for model in panel
                ],
            ),
        ),
    output:
        figure="<results>/{table}_matched.png",
        csv="<results>/{table}_matched.csv",
    log:
        "<logs>/{table}_matched.log",
    wildcard_constraints:
        table=places.any_of(CURVES),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.tables.figures"),
        models=lambda wildcards: f"models/{SCALE}",
    shell:
        "python -m workflow.tables.figures matched --preset {input.preset:q} --models {params.models:q}"
        " --table {output.csv:q} --out {output.figure:q} > {log:q} 2>&1"


rule training_curves:
    input:
        curves=expand("<models>/{name}/curves.jsonl", name=TRAINED_MODELS),
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
        code=code_of("workflow.tables.figures"),
        models=lambda wildcards: f"models/{SCALE}",
        names=TRAINED_MODELS,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.curves:q}"
        " --outputs {output.figure:q} --"
        " python -m workflow.tables.figures training --models {params.models:q} --names {params.names:q}"
        " --out {output.figure:q}"


rule claims:
    input:
        preset="workflow/presets/claims.yaml",
        tables=expand("<results>/{table}.csv", table=CLAIM_TABLES),
        toy=expand("<results>/{table}_seeds.csv", table=TOY_TABLES),
        curves=expand("<results>/{table}.png", table=CURVES),
        runs=[
            f"models/{SCALE}/{name}/curves.jsonl"
            for name in sorted(HERE)
            if trainings.RUN.search(name)
        ],
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
        code=code_of("workflow.claims.judge"),
        results=lambda wildcards, output: Path(output.csv).parent,
        data=f"data/{SCALE}",
        models=f"models/{SCALE}",
        settings=json.dumps(
            {
                key: config["evaluation"][key]
                for key in ("metrics", "bootstrap_draws", "min_scored")
            }
            | {
                "seed": config["seed"],
                "absent": ABSENT,
                "lacks": absences.lacks(config),
            }
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
        tables=expand("<results>/{table}.csv", table=PAPER_TABLES + NEIGHBOUR_TABLES),
        figures=expand("<results>/{name}.png", name=[*CURVES, *TOY_TABLES, "training"]),
        confusions=expand("<results>/{name}_confusion.png", name=CONFUSIONS),
        sweeps=SWEEP_FIGURES,
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
        code=code_of("workflow.report.__main__"),
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


rule neighbours:
    input:
        expand("<results>/{table}.csv", table=NEIGHBOURS),
