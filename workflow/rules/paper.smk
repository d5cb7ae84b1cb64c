# The paper's scale: real corpora instead of packaged voices. The rules make the same tables as those of corpora.smk do.
from workflow.cluster import plan as paper_plan

RECORDED = config["corpus"]["recorded"]
CORPORA = Path(RECORDED["folder"])
SHARD_PARTS = RECORDED["shard_parts"]


wildcard_constraints:
    corpus="[a-z0-9_]+",
    part="[A-Za-z0-9_-]+",
    shards="[a-z0-9_]+",


# Only the record is declared: Snakemake deletes a job's outputs before it runs again, and an archive is fetched once.
# It depends on no source, so that an edit here does not ask the network anything.
rule corpus_archive:
    output:
        record=CORPORA / "archives" / "{corpus}" / "{file}.verified.json",
    log:
        "<logs>/paper/archives/{corpus}/{file}.log",
    retries: 3
    localrule: True  # compute nodes often have no way out
    conda:
        "../../environment.yml"
    params:
        part=lambda wildcards: paper_plan.part_of(wildcards.corpus, wildcards.file),
        folder=CORPORA,
        mirror=["--mirror", RECORDED["mirror"]] if RECORDED.get("mirror") else [],
    shell:
        "python -m speechbase.recorded.download {wildcards.corpus} {params.part:q} --folder {params.folder:q}"
        " {params.mirror:q} > {log:q} 2>&1"


rule corpus:
    input:
        records=lambda wildcards: [
            CORPORA / "archives" / wildcards.corpus / f"{archive.file}.verified.json"
            for archive in paper_plan.archives_needed(wildcards.corpus, RECORDED)
        ],
    output:
        record=CORPORA / "{corpus}.json",
    log:
        "<logs>/paper/unpack/{corpus}.log",
    conda:
        "../../environment.yml"
    resources:
        runtime="3d",
    params:
        folder=CORPORA,
        archives=lambda wildcards, input: [
            str(record).removesuffix(".verified.json") for record in input.records
        ],
    shell:
        "python -m speechbase.recorded.unpack {wildcards.corpus} {params.archives:q}"
        " --folder {params.folder:q} > {log:q} 2>&1"


rule recorded_part:
    input:
        corpora=lambda wildcards: paper_plan.unpacked([wildcards.corpus], RECORDED),
    output:
        table="<data>/recorded/{corpus}/{part}.csv",
        fingerprint="<data>/recorded/{corpus}/{part}.fingerprint.json",
    log:
        "<logs>/paper/parts/{corpus}/{part}.log",
    wildcard_constraints:
        corpus="librispeech|libritts|libritts_r|mls_[a-z]+",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime="12h",
    params:
        code=code_of("speechbase.recorded.prepare"),
        config=json.dumps({"recorded": RECORDED}),
        out=lambda wildcards, output: Path(output.table).parents[2],
    shell:
        "python -m speechbase.recorded.prepare part {wildcards.corpus} {wildcards.part}"
        " --config {params.config:q} --out {params.out:q} > {log:q} 2>&1"


rule recorded_speech:
    input:
        parts=lambda wildcards: [
            f"<data>/recorded/{corpus}/{part}.csv"
            for corpus, part in paper_plan.parts_of(RECORDED, wildcards.table)
        ],
    output:
        table="<data>/speech/{table}.csv",
        excluded="<data>/speech/{table}.excluded.csv",
        record="<data>/speech/{table}.provenance.json",
    log:
        "<logs>/paper/speech/{table}.log",
    benchmark:
        "<benchmarks>/paper/speech_{table}.tsv"
    wildcard_constraints:
        table="(languages_)?(train|valid)|tts",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=8000,
        runtime="4h",
    params:
        code=code_of("speechbase.recorded.prepare"),
        config=json.dumps({"recorded": RECORDED}),
        out=lambda wildcards, output: Path(output.table).parents[1],
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.parts:q} --outputs {output.table:q} {output.excluded:q} --"
        " python -m speechbase.recorded.prepare speech {wildcards.table} --config {params.config:q}"
        " --out {params.out:q}"


rule recorded_sounds:
    input:
        corpora=lambda wildcards: paper_plan.unpacked(
            RECORDED[wildcards.kind], RECORDED
        ),
    output:
        table="<data>/{kind}.csv",
        record="<data>/{kind}.provenance.json",
    log:
        "<logs>/paper/sounds/{kind}.log",
    wildcard_constraints:
        kind="noise|rir",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime="12h",
    params:
        code=code_of("speechbase.recorded.prepare"),
        config=json.dumps(
            {"recorded": RECORDED, "rate_hz": config["corpus"]["rate_hz"]}
        ),
        out=lambda wildcards, output: Path(output.table).parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --outputs {output.table:q} --"
        " python -m speechbase.recorded.prepare sounds {wildcards.kind} --config {params.config:q} --out {params.out:q}"


# When each word is spoken: where a prompt may be cut, and which words an 8-second window holds.
rule recorded_word_times:
    input:
        parts=lambda wildcards: (
            "<data>/recorded/librispeech/test-clean.csv"
            if RECORDED["testsets"][wildcards.set]["from"] == "librispeech"
            else []
        ),
        corpora=lambda wildcards: paper_plan.unpacked(
            paper_plan.corpora_of_set(RECORDED["testsets"][wildcards.set]), RECORDED
        ),
    output:
        recordings="<data>/recorded/words/{set}.recordings.csv",
        words="<data>/recorded/words/{set}.csv",
    log:
        "<logs>/paper/words/{set}.log",
    wildcard_constraints:
        set=places.any_of(
            name
            for name, settings in RECORDED["testsets"].items()
            if settings["from"] in paper_plan.ALIGNED
        ),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=8000,
        runtime="4h",
        gpu=config["resources"]["gpu"],
    params:
        code=code_of("speechbase.recorded.prepare", "speechbase.recorded.words"),
        config=json.dumps({"recorded": RECORDED}),
        out=lambda wildcards, output: Path(output.words).parents[2],
        device="cuda" if config["resources"]["gpu"] else "cpu",
    shell:
        "(python -m speechbase.recorded.prepare recordings {wildcards.set} --config {params.config:q}"
        " --out {params.out:q}"
        " && python -m speechbase.recorded.words --table {output.recordings:q} --out {output.words:q}"
        " --device {params.device}) > {log:q} 2>&1"


rule recorded_test_set:
    input:
        corpora=lambda wildcards: paper_plan.unpacked(
            paper_plan.corpora_of_set(RECORDED["testsets"][wildcards.set]), RECORDED
        ),
        words=lambda wildcards: paper_plan.words_of(
            RECORDED["testsets"][wildcards.set],
            f"<data>/recorded/words/{wildcards.set}.csv",
        ),
    output:
        manifest="<data>/testsets/{set}.csv",
        record="<data>/testsets/{set}.provenance.json",
    log:
        "<logs>/paper/testsets/{set}.log",
    benchmark:
        "<benchmarks>/paper/testset_{set}.tsv"
    wildcard_constraints:
        set=places.any_of(RECORDED["testsets"]),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=8000,
        runtime="6h",
    params:
        code=code_of("speechbase.recorded.prepare"),
        config=json.dumps({"recorded": RECORDED}),
        out=lambda wildcards, output: Path(output.manifest).parents[1],
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.words:q} --outputs {output.manifest:q} --"
        " python -m speechbase.recorded.prepare testset {wildcards.set} --config {params.config:q} --out {params.out:q}"


# The shards themselves are not declared: a job that fails must not lose those it has finished.
rule speech_shards:
    input:
        table="<data>/speech/{shards}.csv",
    output:
        done="<data>/shards/{shards}/.written/{number}.done",
    log:
        "<logs>/paper/shards/{shards}/{number}.log",
    wildcard_constraints:
        shards="(languages_)?(train|valid)|tts",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=6000,
        runtime="1d",
    params:
        code=code_of("speechbase.recorded.shards"),
        out=lambda wildcards, output: Path(output.done).parent.parent,
        parts=SHARD_PARTS,
    shell:
        "python -m speechbase.recorded.shards write --table {input.table:q} --out {params.out:q}"
        " --part {wildcards.number}/{params.parts} --done {output.done:q} > {log:q} 2>&1"


rule latents:
    input:
        written=expand(
            "<data>/shards/{{shards}}/.written/{number}.done",
            number=range(SHARD_PARTS),
        ),
        codec="<models>/codec/model.safetensors",
    output:
        done="<data>/shards/{shards}/.encoded/{number}.done",
    log:
        "<logs>/paper/latents/{shards}/{number}.log",
    wildcard_constraints:
        shards="(languages_)?(train|valid)|tts",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=12000,
        runtime="1d",
        gpu=1,
    params:
        code=code_of("speechbase.recorded.shards"),
        folder=lambda wildcards, output: Path(output.done).parent.parent,
        codec=lambda wildcards, input: Path(input.codec).parent,
        parts=SHARD_PARTS,
    shell:
        "python -m speechbase.recorded.shards encode --shards {params.folder:q} --codec {params.codec:q}"
        " --part {wildcards.number}/{params.parts} --done {output.done:q} > {log:q} 2>&1"


rule paper_data:
    input:
        tables=expand(
            "<data>/{table}.csv",
            table=["speech/train", "speech/valid", "speech/tts", "noise", "rir"],
        ),
        sets=expand("<data>/testsets/{set}.csv", set=RECORDED["testsets"]),
        shards=expand(
            "<data>/shards/tts/.written/{number}.done", number=range(SHARD_PARTS)
        ),
    localrule: True
