# Experiments beyond the paper: presets with a sweep. `beyond` makes those that this scale can run and that are not
# `on_request`.
SWEEPS = {
    name: preset
    for name, preset in preset_files.of_kind(PRESETS, "sweep").items()
    if wanted.cells(preset, ABSENT, MEASURES)
}
ON_REQUEST = [
    name for name, preset in SWEEPS.items() if preset["sweep"].get("on_request")
]
SWEEP_FIGURES = [
    f"{places.results_folder(SCALE)}/beyond/{name}.png"
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
        table=places.any_of(SWEEPS),
    params:
        code=code_of("workflow.tables.build", "metrics"),
        results=lambda wildcards, output: Path(output.csv).parent.parent,
        data=f"data/{SCALE}",
        settings=TABLE_SETTINGS,


rule sweep_figure:
    input:
        preset=lambda wildcards: preset_files.preset_file(wildcards.table),
        csv="<results>/beyond/{table}.csv",
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
        table=places.any_of(SWEEPS),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.tables.figures"),
    shell:
        "python -m workflow.tables.figures sweep --preset {input.preset:q} --table {input.csv:q}"
        " --out {output.figure:q}"
        " > {log:q} 2>&1"


# What the guide makes of words in noise, on validation speech.
rule confusions:
    input:
        manifest="<data>/testsets/{set}.csv",
        transcripts=lambda wildcards: wanted.heard(
            config, wildcards.set, config["evaluation"]["guide"]
        ),
    output:
        csv="<results>/beyond/confusions/{set}.csv",
    log:
        "<logs>/beyond/confusions_{set}.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.experiments.confusions"),
    shell:
        "python -m workflow.experiments.confusions --manifest {input.manifest:q} --transcripts {input.transcripts:q}"
        " --out {output.csv:q} > {log:q} 2>&1"


rule confused_transcripts:
    input:
        manifest="<data>/testsets/{set}.csv",
        confusions="<results>/beyond/confusions/{heard}.csv",
    output:
        transcripts="<results>/beyond/transcripts/{set}/confused_{heard}_{percent}.jsonl",
    log:
        "<logs>/beyond/confused_{set}_{heard}_{percent}.log",
    wildcard_constraints:
        percent="[0-9]+",
        heard="[a-z0-9_]+",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.experiments.corrupt"),
        seed=config["seed"],
    shell:
        "python -m workflow.experiments.corrupt --manifest {input.manifest:q} --percent {wildcards.percent}"
        " --confusions {input.confusions:q} --seed {params.seed} --out {output.transcripts:q} > {log:q} 2>&1"


rule snapped_transcripts:
    input:
        transcripts=lambda wildcards: wanted.heard(
            config, wildcards.set, config["evaluation"]["guide"]
        ),
    output:
        transcripts="<results>/beyond/transcripts/{set}/snapped.jsonl",
    log:
        "<logs>/beyond/snapped_{set}.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.experiments.snap"),
        source=config["corpus"].get("text", {}).get("source", "recorded"),
    shell:
        "python -m workflow.experiments.snap --transcripts {input.transcripts:q} --source {params.source}"
        " --out {output.transcripts:q} > {log:q} 2>&1"


# How sure the guide is of each word of a transcript, given the audio that it was heard in.
rule confidences:
    input:
        manifest="<data>/testsets/{set}.csv",
        transcripts=lambda wildcards: wanted.heard(
            config, wildcards.set, wildcards.told
        ),
    output:
        words="<results>/confidences/{set}/{told}.jsonl",
        record="<results>/confidences/{set}/{told}.provenance.json",
    log:
        "<logs>/confidences/{set}/{told}.log",
    wildcard_constraints:
        told="[a-z0-9_]+",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        code=code_of("metrics.judges.alignment"),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q}"
        " --inputs {input.manifest:q} {input.transcripts:q} --outputs {output.words:q} --"
        " python -m metrics.judges.alignment --manifest {input.manifest:q} --transcripts {input.transcripts:q}"
        " --out {output.words:q}"


# ITC guided by gold transcripts with a known share of wrong words.
rule corrupted_transcripts:
    input:
        manifest="<data>/testsets/{set}.csv",
    output:
        transcripts="<results>/beyond/transcripts/{set}/corrupted_{percent}.jsonl",
    log:
        "<logs>/beyond/corrupted_{set}_{percent}.log",
    wildcard_constraints:
        percent="[0-9]+",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.experiments.corrupt"),
        seed=config["seed"],
    shell:
        "python -m workflow.experiments.corrupt --manifest {input.manifest:q} --percent {wildcards.percent}"
        " --seed {params.seed} --out {output.transcripts:q} > {log:q} 2>&1"


rule error_sources:
    input:
        manifest=lambda wildcards: f"<data>/testsets/{PRESETS[wildcards.table]['set']}.csv",
        guides=lambda wildcards: [
            f"<results>/beyond/transcripts/{PRESETS[wildcards.table]['set']}/{CORRUPTED[system]}.jsonl"
            for system in PRESETS[wildcards.table]["transcripts"]
        ],
        outputs=lambda wildcards: [
            f"<results>/transcripts/{PRESETS[wildcards.table]['set']}/{system}/{config['evaluation']['guide']}.jsonl"
            for system in PRESETS[wildcards.table]["transcripts"]
        ],
    output:
        csv="<results>/beyond/{table}_sources.csv",
    log:
        "<logs>/beyond/{table}_sources.log",
    wildcard_constraints:
        table=places.any_of(SOURCES_OF_ERRORS),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.experiments.error_sources"),
        names=lambda wildcards: [
            system for system in PRESETS[wildcards.table]["transcripts"]
        ],
    shell:
        "python -m workflow.experiments.error_sources --manifest {input.manifest:q} --guides {input.guides:q}"
        " --outputs {input.outputs:q} --names {params.names} --out {output.csv:q} > {log:q} 2>&1"


rule beyond:
    input:
        SWEEP_FIGURES,
        expand("<results>/beyond/{table}_sources.csv", table=SOURCES_OF_ERRORS),
