# Did a metric move? And what is everything made of, under which licences?

FROZEN = preset_files.frozen(PRESETS)


rule regression_report:
    input:
        table=f"<results>/{FROZEN}.csv",
        record=f"<results>/{FROZEN}.provenance.json",
        reference=f"results/reference/{SCALE}.json",
    output:
        report="<results>/regression.md",
        junit="<results>/regression.xml",
        findings="<results>/regression.json",
    log:
        "<logs>/regression_report.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.regression.compare"),
    shell:
        "python -m workflow.regression.compare compare --table {input.table:q} --reference {input.reference:q}"
        " --out {output.report:q} >{log:q} 2>&1"


# Apart from the report, because Snakemake removes what a failing job wrote.
rule regression:
    input:
        findings="<results>/regression.json",
    log:
        "<logs>/regression.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m workflow.regression.compare verdict {input.findings:q} 2>&1 | tee {log:q}"


rule licences:
    input:
        lock="requirements.lock",
        materials="workflow/materials.yaml",
        cards=sorted({system_entries.card_file(SYSTEMS, name) for name in COMPARED}),
    output:
        "<results>/licences.md",
    log:
        "<logs>/licences.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("workflow.record.licences"),
    shell:
        "python -m workflow.record.licences --out {output:q} >{log:q} 2>&1"
