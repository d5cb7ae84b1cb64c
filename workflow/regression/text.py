"""The regression's findings as Markdown and as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from workflow.regression.facts import differences

if TYPE_CHECKING:
    from workflow.regression.compare import Finding


def markdown(findings: Sequence[Finding], reference: dict, seen: dict) -> str:
    """What moved, by how much, and what differs between the two runs; the cells that stayed are listed last."""
    counts = {
        kind: sum(finding.verdict == kind for finding in findings)
        for kind in ("regression", "improvement", "new", "same")
    }
    lines = ["# Regression", "", ", ".join(f"{count} {kind}" for kind, count in counts.items()) + ".", ""]
    lines += ["What differs between the reference's run and this one:", ""]
    lines += [
        f"- {sentence}" for sentence in differences(reference["facts"], seen["facts"]) or ["nothing that is recorded"]
    ]
    lines += [
        "",
        "| check | verdict | reference | now | moved | tolerance | detail |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    order = {kind: rank for rank, kind in enumerate(counts)}
    lines += [_line(finding) for finding in sorted(findings, key=lambda finding: order[finding.verdict])]
    last = reference["history"][-1]
    lines += ["", f"The reference was last changed on {last['date']} (commit {last['commit']}): {last['reason']}"]
    return "\n".join(lines) + "\n"


def _line(finding: Finding) -> str:
    moved = None
    if finding.reference is not None and finding.value is not None:
        moved = finding.value - finding.reference
    numbers = (finding.reference, finding.value, moved, finding.tolerance)
    shown = ["" if number is None else f"{number:.5g}" for number in numbers]
    return "| " + " | ".join([finding.name, finding.verdict, *shown, finding.detail]) + " |"


def junit(findings: Sequence[Finding]) -> str:
    """One test case a check; a regression is a failure."""
    failures = sum(finding.verdict == "regression" for finding in findings)
    suite = ElementTree.Element(
        "testsuite", name="regression", tests=str(len(findings)), failures=str(failures), errors="0"
    )
    for finding in findings:
        group, _, name = finding.name.rpartition("/")
        case = ElementTree.SubElement(suite, "testcase", classname=group.replace("/", "."), name=name)
        if finding.verdict == "regression":
            text = f"reference {finding.reference}, now {finding.value}, tolerance {finding.tolerance}"
            ElementTree.SubElement(case, "failure", message=finding.detail).text = text
        elif finding.detail:
            ElementTree.SubElement(case, "system-out").text = f"{finding.verdict}: {finding.detail}"
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
