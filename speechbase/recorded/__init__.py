"""The paper's scale: real corpora, their preparation, checks and plans. Thin modules that the rules of `paper.smk`
call."""
