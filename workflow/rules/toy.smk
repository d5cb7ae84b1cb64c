# Figure 4: the toy study of section 6 and Appendix B; it needs no data and no model.


rule fig4:
    output:
        csv="<results>/fig4.csv",
        seeds="<results>/fig4_seeds.csv",
        figure=report(
            "<results>/fig4.png",
            caption="../report/fig4.rst",
            category="Figures",
        ),
        sweeps="<results>/fig4_sweeps.png",
        record="<results>/fig4.provenance.json",
    log:
        "<logs>/fig4.log",
    conda:
        "../../environment.yml"
    params:
        code=code_of("toy_gmm.__main__"),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q}"
        " --outputs {output.csv:q} {output.seeds:q} {output.figure:q} {output.sweeps:q} --"
        " python -m toy_gmm --out {output.csv:q} --by-seed {output.seeds:q}"
        " --figure {output.figure:q} --sweeps {output.sweeps:q}"
