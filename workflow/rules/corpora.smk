# Speech tables, noise, rooms and test sets, all made from packages; every random choice is drawn once, into the tables.


rule speech_table:
    input:
        src=sources("speechbase.corpus.build_speech", "speechbase/corpus/corpus.py"),
    output:
        table="<data>/speech/{split}.csv",
        record="<data>/speech/{split}.provenance.json",
    log:
        "<logs>/corpora/speech_{split}.log",
    benchmark:
        "<benchmarks>/corpora/speech_{split}.tsv"
    wildcard_constraints:
        split=planning.any_of([*config["corpus"]["speech"]["utterances"], "real"]),
    conda:
        "../../environment.yml"
    threads: 16
    resources:
        mem_mb=3000,
    params:
        config=lambda wildcards: json.dumps(
            planning.corpus_part(config["corpus"], "speech", wildcards.split)
        ),
        out=lambda wildcards, output: Path(output.table).parent.parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechbase.corpus.corpus speech --split {wildcards.split} --workers {threads}"
        " --config {params.config:q} --out {params.out:q}"


rule noise_table:
    input:
        src=lambda wildcards: sources(
            (
                "speechbase.corpus.rooms"
                if wildcards.kind == "rir"
                else "speechbase.corpus.noise"
            ),
            "speechbase/corpus/corpus.py",
        ),
    output:
        table="<data>/{kind}.csv",
        record="<data>/{kind}.provenance.json",
    log:
        "<logs>/corpora/{kind}.log",
    benchmark:
        "<benchmarks>/corpora/{kind}.tsv"
    wildcard_constraints:
        kind="noise|rir",
    conda:
        "../../environment.yml"
    threads: 16
    params:
        config=lambda wildcards: json.dumps(
            planning.corpus_part(config["corpus"], wildcards.kind)
        ),
        out=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechbase.corpus.corpus {wildcards.kind} --workers {threads}"
        " --config {params.config:q} --out {params.out:q}"


rule test_set:
    input:
        speech=lambda wildcards: (
            f"<data>/speech/{config['corpus']['testsets'][wildcards.set]['split']}.csv"
        ),
        noise="<data>/noise.csv",
        rir="<data>/rir.csv",
        src=sources("speechbase.corpus.testset", "speechbase/corpus/corpus.py"),
    output:
        manifest="<data>/testsets/{set}.csv",
        record="<data>/testsets/{set}.provenance.json",
    log:
        "<logs>/corpora/testset_{set}.log",
    benchmark:
        "<benchmarks>/corpora/testset_{set}.tsv"
    wildcard_constraints:
        set=planning.any_of(config["corpus"]["testsets"]),
    conda:
        "../../environment.yml"
    params:
        config=lambda wildcards: json.dumps(
            planning.corpus_part(config["corpus"], "testset", wildcards.set)
        ),
        out=lambda wildcards, output: Path(output.manifest).parent.parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.speech:q} {input.noise:q} {input.rir:q} --outputs {output.manifest:q} --"
        " python -m speechbase.corpus.corpus testset {wildcards.set} --config {params.config:q} --out {params.out:q}"
