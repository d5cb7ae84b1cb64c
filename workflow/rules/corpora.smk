# Speech tables, noise, rooms and test sets, all made from packages; every random choice is drawn once, into the tables.


rule speech_table:
    input:
        src=planning.sources("fileio", "speechop/data"),
    output:
        table="<data>/speech/{split}.csv",
        record="<data>/speech/{split}.provenance.json",
    log:
        "<logs>/corpora/speech_{split}.log",
    benchmark:
        "<benchmarks>/corpora/speech_{split}.tsv"
    wildcard_constraints:
        split="train|valid|test",
    conda:
        "../../environment.yml"
    threads: 16
    resources:
        mem_mb=3000,
    params:
        config=json.dumps(config["corpus"]),
        out=lambda wildcards, output: Path(output.table).parent.parent,
    shell:
        "python -m workflow.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechop.data.corpus speech --split {wildcards.split} --workers {threads}"
        " --config {params.config:q} --out {params.out:q}"


rule noise_table:
    input:
        speech=expand("<data>/speech/{split}.csv", split=["train", "valid", "test"]),
        src=planning.sources("fileio", "speechop/data"),
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
        config=json.dumps(config["corpus"]),
        out=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m workflow.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechop.data.corpus {wildcards.kind} --workers {threads}"
        " --config {params.config:q} --out {params.out:q}"


rule test_set:
    input:
        speech="<data>/speech/test.csv",
        noise="<data>/noise.csv",
        rir="<data>/rir.csv",
        src=planning.sources(
            "fileio", "speechop/data", "speechop/degradations*", "speechop/tasks.py"
        ),
    output:
        manifest="<data>/testsets/{set}.csv",
        record="<data>/testsets/{set}.provenance.json",
    log:
        "<logs>/corpora/testset_{set}.log",
    benchmark:
        "<benchmarks>/corpora/testset_{set}.tsv"
    conda:
        "../../environment.yml"
    params:
        config=json.dumps(config["corpus"]),
        out=lambda wildcards, output: Path(output.manifest).parent.parent,
    shell:
        "python -m workflow.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.speech:q} {input.noise:q} {input.rir:q} --outputs {output.manifest:q} --"
        " python -m speechop.data.corpus testset {wildcards.set} --config {params.config:q} --out {params.out:q}"
