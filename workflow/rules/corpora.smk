# Speech tables, noise, rooms and test sets, all made from packages; every random choice is drawn once, into the tables.


rule speech_table:
    input:
        # Speech that ships: as with shipped models, what decides is the plan's digest in every file.
        spoken=ancient("speechbase/spoken/test.csv"),
    output:
        table="<data>/speech/{split}.csv",
        record="<data>/speech/{split}.provenance.json",
    log:
        "<logs>/corpora/speech_{split}.log",
    benchmark:
        "<benchmarks>/corpora/speech_{split}.tsv"
    wildcard_constraints:
        split=places.any_of(corpus_parts.speech_splits(config["corpus"])),
    conda:
        "../../environment.yml"
    threads: 16
    resources:
        mem_mb=3000,
    params:
        code=code_of("speechbase.corpus.build_speech", "speechbase/corpus/corpus.py"),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], "speech", wildcards.split)
        ),
        out=lambda wildcards, output: Path(output.table).parent.parent,
        respeak=["--respeak"] if config["respeak"] else [],
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.spoken:q} --outputs {output.table:q} --"
        " python -m speechbase.corpus.corpus speech --split {wildcards.split} --workers {threads} {params.respeak}"
        " --config {params.config:q} --out {params.out:q}"


# Real voices, where the user has them: cut and multiplied; the words of which two recognisers are sure serve text to
# speech.
rule real_voices:
    output:
        tables=expand("<data>/speech/{split}_recorded.csv", split=["train", "valid"]),
        record="<data>/speech/recorded.provenance.json",
    log:
        "<logs>/corpora/real_voices.log",
    benchmark:
        "<benchmarks>/corpora/real_voices.tsv"
    conda:
        "../../environment.yml"
    threads: 16
    params:
        code=code_of("workflow.record.real_voices"),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], "real_voices")
        ),
        out=lambda wildcards, output: Path(output.tables[0]).parent.parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.tables:q} --"
        " python -m workflow.record.real_voices --config {params.config:q} --out {params.out:q} --workers {threads}"


rule recorded_tests:
    output:
        tables=[
            "<data>/speech/recorded.csv",
            "<data>/noise_recorded.csv",
            "<data>/rir_recorded.csv",
        ],
        record="<data>/recorded_tests.provenance.json",
    log:
        "<logs>/corpora/recorded_tests.log",
    benchmark:
        "<benchmarks>/corpora/recorded_tests.tsv"
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.corpus.recorded_test", "speechbase/corpus/corpus.py"),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], "real_tests")
        ),
        out=lambda wildcards, output: Path(output.record).parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.tables:q} --"
        " python -m speechbase.corpus.corpus recorded --split test --config {params.config:q} --out {params.out:q}"


rule debian_speech:
    input:
        listed=lambda wildcards: f"speechbase/corpus/lists/{config['corpus']['debian']['list']}",
    output:
        table="<data>/speech/debian_{part}.csv",
        record="<data>/speech/debian_{part}.provenance.json",
    log:
        "<logs>/corpora/debian_{part}.log",
    benchmark:
        "<benchmarks>/corpora/debian_{part}.tsv"
    wildcard_constraints:
        part="[a-z]+",
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.corpus.debian", "speechbase/corpus/corpus.py"),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], "debian")
        ),
        out=lambda wildcards, output: Path(output.table).parent.parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.listed:q} --outputs {output.table:q} --"
        " python -m speechbase.corpus.corpus debian {wildcards.part} --config {params.config:q} --out {params.out:q}"


# A table a split, so that a test set waits for its own alone, and one of all for training.
rule noise_table:
    input:
        parts=lambda wildcards: [
            f"<data>/{wildcards.kind}{part}.csv"
            for part in corpus_parts.sounds_parts(config, wildcards.kind)
            if not wildcards.part
        ],
    output:
        table="<data>/{kind}{part}.csv",
        record="<data>/{kind}{part}.provenance.json",
    log:
        "<logs>/corpora/{kind}{part}.log",
    benchmark:
        "<benchmarks>/corpora/{kind}{part}.tsv"
    wildcard_constraints:
        kind="noise|rir",
        part="|_train|_valid|_test",
    conda:
        "../../environment.yml"
    threads: 16
    params:
        code=lambda wildcards: code_of(
            (
                "speechbase.corpus.rooms"
                if wildcards.kind == "rir"
                else "speechbase.corpus.noise"
            ),
            "speechbase/corpus/corpus.py",
        ),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], wildcards.kind)
        ),
        out=lambda wildcards, output: Path(output.table).parent,
        split=lambda wildcards: (
            ["--split", wildcards.part.removeprefix("_")] if wildcards.part else []
        ),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechbase.corpus.corpus {wildcards.kind} --workers {threads} {params.split}"
        " --config {params.config:q} --out {params.out:q}"


rule test_set:
    input:
        speech=lambda wildcards: (
            f"<data>/speech/{config['corpus']['testsets'][wildcards.set]['split']}.csv"
        ),
        noise=lambda wildcards: f"<data>/noise{corpus_parts.sounds_of(config, wildcards.set)}.csv",
        rir=lambda wildcards: f"<data>/rir{corpus_parts.sounds_of(config, wildcards.set)}.csv",
    output:
        manifest="<data>/testsets/{set}.csv",
        record="<data>/testsets/{set}.provenance.json",
    log:
        "<logs>/corpora/testset_{set}.log",
    benchmark:
        "<benchmarks>/corpora/testset_{set}.tsv"
    wildcard_constraints:
        set=places.any_of(config["corpus"]["testsets"]),
    conda:
        "../../environment.yml"
    params:
        code=code_of("speechbase.corpus.testset", "speechbase/corpus/corpus.py"),
        config=lambda wildcards: json.dumps(
            corpus_parts.corpus_part(config["corpus"], "testset", wildcards.set)
        ),
        out=lambda wildcards, output: Path(output.manifest).parent.parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.speech:q} {input.noise:q} {input.rir:q} --outputs {output.manifest:q} --"
        " python -m speechbase.corpus.corpus testset {wildcards.set} --config {params.config:q} --out {params.out:q}"
