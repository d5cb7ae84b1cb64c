# Transcripts and scores: one job is one system on one test set, one row an utterance.


rule transcripts:
    input:
        index="<results>/audio/{set}/{system}/index.csv",
    output:
        transcripts="<results>/transcripts/{set}/{system}/{asr}.jsonl",
        record="<results>/transcripts/{set}/{system}/{asr}.provenance.json",
    log:
        "<logs>/transcripts/{set}/{system}/{asr}.log",
    benchmark:
        "<benchmarks>/transcripts/{set}/{system}/{asr}.tsv"
    priority: 1  # what others wait for goes before their scores
    conda:
        "../../environment.yml"
    resources:
        mem_mb=3000,
    params:
        code=code_of("speechbase.files", "metrics"),
        asr=lambda wildcards: json.dumps(
            {"name": wildcards.asr, "model": wildcards.asr}
            | config["evaluation"]["asr"][wildcards.asr]
        ),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.asr:q}"
        " --inputs {input.index:q} --outputs {output.transcripts:q} --"
        " python -m metrics transcribe --index {input.index:q} --asr {params.asr:q}"
        " --out {output.transcripts:q}"


# A rule a test set (and recogniser), because the metrics that some table asks of it decide the rule's outputs.
for test_set, asr, metrics in SCORINGS:

    rule:
        name:
            "_".join(filter(None, ["score", test_set, asr]))
        input:
            manifest=f"<data>/testsets/{test_set}.csv",
            index=f"<results>/audio/{test_set}/{{system}}/index.csv",
            transcripts=(
                f"<results>/transcripts/{test_set}/{{system}}/{asr}.jsonl"
                if asr
                else []
            ),
        output:
            scores=expand(
                f"<results>/scores/{test_set}/{{{{system}}}}/{{metric}}.jsonl",
                metric=metrics,
            ),
            record=f"<results>/scores/{test_set}/{{system}}/{asr or 'audio'}.provenance.json",
        log:
            f"<logs>/scores/{test_set}/{{system}}_{asr or 'audio'}.log",
        benchmark:
            f"<benchmarks>/scores/{test_set}/{{system}}_{asr or 'audio'}.tsv"
        conda:
            "../../environment.yml"
        resources:
            mem_mb=3000,
        params:
            code=code_of("speechbase.files", "metrics"),
            metrics=",".join(metrics),
            out=lambda wildcards, output: Path(output.record).parent,
            config=json.dumps(config["evaluation"]["settings"]),
            text=lambda wildcards, input, test_set=test_set: wanted.text_column(
                config, test_set, wildcards.system
            ),
            features=f".state/{SCALE}/features/{test_set}",
            transcripts=lambda wildcards, input: (
                ["--transcripts", input.transcripts] if input.transcripts else []
            ),
        shell:
            "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
            " --inputs {input.manifest:q} {input.index:q} {input.transcripts:q} --outputs {output.scores:q} --"
            " python -m metrics score --manifest {input.manifest:q} --index {input.index:q}"
            " --text-column {params.text} {params.transcripts:q} --metrics {params.metrics:q} --jobs {threads}"
            " --config {params.config:q} --out {params.out:q} --features {params.features:q}"
