# Listening studies: prepared from a table's audio; rehearsed with invented answers; imported, analysed and reported
# with real ones.
# Only prepared.json and what can be computed again is an output: answers, keys and the audio in use are never a rule's
# to delete.
from metrics.listening import study as listening_study

LISTENING = {
    name: changes
    for name in listening_study.SHIPPED
    if (
        changes := listening_study.at_scale(
            name,
            [system for system in SYSTEMS if system not in ABSENT],
            config["corpus"].get("testsets", {}),
            dict.fromkeys(
                ("allow_fewer", "allow_absent"), "recorded" not in config["corpus"]
            )
            | config.get("listening", {}).get(name, {}),
        )
    )
}
STUDY_FOLDER = f"{places.results_folder(SCALE)}/listening"


wildcard_constraints:
    study="|".join(LISTENING) or "none",


rule listening_prepare:
    input:
        manifests=lambda wildcards: [
            f"<data>/testsets/{name}.csv"
            for name in LISTENING[wildcards.study]["sets"]
        ],
        audio=lambda wildcards: [
            f"<results>/audio/{name}/{system}/index.csv"
            for name, system in listening_study.audio_needed(
                listening_study.load(wildcards.study, LISTENING[wildcards.study])
            )
        ],
        study="metrics/listening/studies/{study}.yaml",
        defaults="metrics/listening/defaults.yaml",
    output:
        prepared="<results>/listening/{study}/prepared.json",
        record="<results>/listening/{study}/prepared.provenance.json",
    log:
        "<logs>/listening/{study}_prepare.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.files", "metrics/listening/*.py"),
        config=lambda wildcards: json.dumps(LISTENING[wildcards.study]),
        testsets=f"data/{SCALE}/testsets",
        audio=f"{places.results_folder(SCALE)}/audio",
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.manifests:q} {input.audio:q} {input.study:q} --outputs {output.prepared:q} --"
        " python -m metrics.listening prepare --study {wildcards.study} --keep --testsets {params.testsets:q}"
        " --audio {params.audio:q} --out {params.out:q} --config {params.config:q}"


rule listening_simulate:
    input:
        prepared="<results>/listening/{study}/prepared.json",
    output:
        report="<results>/listening/{study}/simulated/report/index.html",
    log:
        "<logs>/listening/{study}_simulate.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.files", "metrics/listening/*.py"),
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
        seed=config["seed"],
    shell:
        "python -m metrics.listening simulate {params.out:q} --seed {params.seed} > {log:q} 2>&1"


rule listening_import:
    input:
        prepared="<results>/listening/{study}/prepared.json",
        export="<results>/listening/{study}/private/prolific_export.csv",
        answers=lambda wildcards: [
            str(path)
            for path in Path(STUDY_FOLDER, wildcards.study, "private").glob(
                "**/*.jsonl"
            )
            if path.name not in ("pids.jsonl", "refused.jsonl")
        ],
    output:
        multiext(
            "<results>/listening/{study}/imported/",
            "ratings.csv",
            "raters.csv",
            "import.json",
        ),
    log:
        "<logs>/listening/{study}_import.log",
    conda:
        "../../environment.yml"
    params:
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
    shell:
        "python -m metrics.listening import {params.out:q} > {log:q} 2>&1"


rule listening_analyse:
    input:
        "<results>/listening/{study}/imported/import.json",
    output:
        multiext(
            "<results>/listening/{study}/",
            "mos.csv",
            "mos.json",
            "contrasts.csv",
            "discards.csv",
            "intelligibility.csv",
            "leniency.json",
        ),
    log:
        "<logs>/listening/{study}_analyse.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.files", "metrics/listening/*.py"),
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
    shell:
        "python -m metrics.listening analyse {params.out:q} > {log:q} 2>&1"


rule listening_pay:
    input:
        "<results>/listening/{study}/imported/import.json",
        export="<results>/listening/{study}/private/prolific_export.csv",
    output:
        "<results>/listening/{study}/private/pay/pay.json",
    log:
        "<logs>/listening/{study}_pay.log",
    conda:
        "../../environment.yml"
    params:
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
    shell:
        "python -m metrics.listening pay {params.out:q} > {log:q} 2>&1"


rule listening_report:
    input:
        prepared="<results>/listening/{study}/prepared.json",
        # Without an export from Prolific there is nothing to import: the report then says `not run`.
        measured=lambda wildcards: (
            [
                f"<results>/listening/{wildcards.study}/mos.csv",
                f"<results>/listening/{wildcards.study}/private/pay/pay.json",
            ]
            if Path(
                STUDY_FOLDER, wildcards.study, "private", "prolific_export.csv"
            ).exists()
            else []
        ),
        template="metrics/listening/templates/report.html.j2",
    output:
        report(
            "<results>/listening/{study}/report/index.html",
            category="Listening studies",
        ),
    log:
        "<logs>/listening/{study}_report.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.files", "metrics/listening/*.py"),
        out=lambda wildcards: f"{STUDY_FOLDER}/{wildcards.study}",
    shell:
        "python -m metrics.listening report {params.out:q} > {log:q} 2>&1"
