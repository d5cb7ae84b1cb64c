# One rule builds any table from its preset: tidy CSV, readable Markdown, and the record of where it comes from.
TABLE_SETTINGS = json.dumps(
    {
        key: config["evaluation"][key]
        for key in ("metrics", "bootstrap_draws", "min_scored")
    }
    | {key: config[key] for key in ("seed", "about")}
    | {
        "absent": ABSENT,
        "models": f"models/{SCALE}",
        "earlier": hours.read_earlier(SCALE),
    }
)


rule table:
    input:
        preset=lambda wildcards: preset_files.preset_file(wildcards.table),
        moved="config/processors.json",
        manifests=lambda wildcards: expand(
            "<data>/testsets/{set}.csv",
            set=sorted(
                {
                    name
                    for name, _, _ in wanted.cells(
                        PRESETS[wildcards.table], ABSENT, MEASURES
                    )
                }
            ),
        ),
        scores=lambda wildcards: [
            f"<results>/scores/{name}/{system}/{metric}.jsonl"
            for name, system, metric in wanted.cells(
                PRESETS[wildcards.table], ABSENT, MEASURES
            )
        ],
        timed=lambda wildcards: [
            f"<results>/audio/{name}/{system}/index.csv"
            for name, system in wanted.timed(PRESETS[wildcards.table], ABSENT)
        ],
        # An imported listening study fills the MOS columns; without an export of its answers they say `not run`.
        listened=lambda wildcards: [
            f"{folder}/mos.csv"
            for study in [PRESETS[wildcards.table].get("study")]
            for folder in [f"{places.results_folder(SCALE)}/listening/{study}"]
            if Path(folder, "mos.csv").exists()
            or Path(folder, "private", "prolific_export.csv").exists()
        ],
    output:
        csv="<results>/{table}.csv",
        markdown="<results>/{table}.md",
        record="<results>/{table}.provenance.json",
    log:
        "<logs>/tables/{table}.log",
    wildcard_constraints:
        table="|".join(PRESETS),
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.tables.build", "metrics"),
        results=lambda wildcards, output: Path(output.csv).parent,
        data=f"data/{SCALE}",
        settings=TABLE_SETTINGS,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.settings:q}"
        " --inputs {input.preset:q} {input.manifests:q} {input.scores:q} {input.timed:q}"
        " --outputs {output.csv:q} {output.markdown:q} --"
        " python -m workflow.tables.build --preset {input.preset:q} --results {params.results:q}"
        " --data {params.data:q} --settings {params.settings:q} --out {output.csv:q}"
