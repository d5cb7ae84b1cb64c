# Experiments beyond the paper: presets with a sweep. `beyond` makes those that this scale can run and that are not
# `on_request`.
SWEEPS = {
    name: preset
    for name, preset in planning.of_kind(PRESETS, "sweep").items()
    if planning.cells(preset, ABSENT, MEASURES)
}
ON_REQUEST = [
    name for name, preset in SWEEPS.items() if preset["sweep"].get("on_request")
]
SWEEP_FIGURES = [
    f"{planning.results_folder(SCALE)}/beyond/{name}.png"
    for name in SWEEPS
    if name not in ON_REQUEST
]
# Models that nothing else needs.
ON_REQUEST_MODELS = {
    system["model"]
    for name in ON_REQUEST
    for system in SWEEPS[name]["systems"].values()
    if "model" in system
}
# Systems that are guided by transcripts with a known share of wrong words, and the tables that have some.
SOURCES_OF_ERRORS = [name for name in SWEEPS if "transcripts" in SWEEPS[name]]


use rule table as sweep_table with:
    output:
        csv="<results>/beyond/{table}.csv",
        markdown="<results>/beyond/{table}.md",
        record="<results>/beyond/{table}.provenance.json",
    log:
        "<logs>/beyond/{table}.log",
    wildcard_constraints:
        table=planning.any_of(SWEEPS),
    params:
        results=lambda wildcards, output: Path(output.csv).parent.parent,
        data=f"data/{SCALE}",
        settings=json.dumps(
            {
                key: config["evaluation"][key]
                for key in ("metrics", "bootstrap_draws", "min_scored")
            }
            | {key: config[key] for key in ("seed", "about")}
            | {"absent": ABSENT}
        ),


rule sweep_figure:
    input:
        preset=lambda wildcards: planning.preset_file(wildcards.table),
        csv="<results>/beyond/{table}.csv",
        src=sources("workflow.tables.figures"),
    output:
        figure=report(
            "<results>/beyond/{table}.png",
            caption="../report/beyond.rst",
            category="Beyond the paper",
            labels={"experiment": "{table}"},
        ),
    log:
        "<logs>/beyond/{table}_figure.log",
    wildcard_constraints:
        table=planning.any_of(SWEEPS),
    conda:
        "../../environment.yml"
    shell:
        "python -m workflow.tables.figures sweep --preset {input.preset:q} --table {input.csv:q}"
        " --out {output.figure:q}"
        " > {log:q} 2>&1"


# ITC guided by gold transcripts with a known share of wrong words.
rule corrupted_transcripts:
    input:
        manifest="<data>/testsets/{set}.csv",
        src=sources("workflow.experiments.corrupt"),
    output:
        transcripts="<results>/beyond/transcripts/{set}/corrupted_{percent}.jsonl",
    log:
        "<logs>/beyond/corrupted_{set}_{percent}.log",
    wildcard_constraints:
        percent="[0-9]+",
    conda:
        "../../environment.yml"
    params:
        seed=config["seed"],
    shell:
        "python -m workflow.experiments.corrupt --manifest {input.manifest:q} --percent {wildcards.percent}"
        " --seed {params.seed} --out {output.transcripts:q} > {log:q} 2>&1"


rule error_sources:
    input:
        manifest=lambda wildcards: f"<data>/testsets/{PRESETS[wildcards.table]['set']}.csv",
        guides=lambda wildcards: [
            f"<results>/beyond/transcripts/{PRESETS[wildcards.table]['set']}/corrupted_{CORRUPTED[system]}.jsonl"
            for system in PRESETS[wildcards.table]["transcripts"]
        ],
        outputs=lambda wildcards: [
            f"<results>/transcripts/{PRESETS[wildcards.table]['set']}/{system}/{config['evaluation']['guide']}.jsonl"
            for system in PRESETS[wildcards.table]["transcripts"]
        ],
        src=sources("workflow.experiments.error_sources"),
    output:
        csv="<results>/beyond/{table}_sources.csv",
    log:
        "<logs>/beyond/{table}_sources.log",
    wildcard_constraints:
        table=planning.any_of(SOURCES_OF_ERRORS),
    conda:
        "../../environment.yml"
    params:
        names=lambda wildcards: [
            CORRUPTED[system] for system in PRESETS[wildcards.table]["transcripts"]
        ],
    shell:
        "python -m workflow.experiments.error_sources --manifest {input.manifest:q} --guides {input.guides:q}"
        " --outputs {input.outputs:q} --names {params.names} --out {output.csv:q} > {log:q} 2>&1"


rule beyond:
    input:
        SWEEP_FIGURES,
        expand("<results>/beyond/{table}_sources.csv", table=SOURCES_OF_ERRORS),
