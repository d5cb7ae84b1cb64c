"""The report of a finished run, read as text: what it holds, that nothing is fetched, that names are escaped."""

import re

import pytest

from speechbase.files import UserError, read_yaml
from workflow.claims import judge
from workflow.plan import places
from workflow.report import collect
from workflow.report.__main__ import guide


@pytest.fixture(scope="module", params=["report/index.html", "report.html"])
def page(finished, request):
    return (finished.results / request.param).read_text()


def test_claims_come_first_with_their_verdicts_and_the_paper_s(page, finished):
    assert page.index('id="claims"') < page.index('id="tables"') < page.index('id="listen"')
    rows = collect.claims(finished.results)
    for row in rows:
        assert f'id="{row["id"]}" data-verdict="{row["verdict"].replace(" ", "-")}"' in page
    tally = dict(collect.counts(rows))
    assert sum(tally.values()) == len(rows) == len(read_yaml(judge.CLAIMS)["claims"])
    assert f"<b>{tally['supported']}</b> supported" in page


def test_measured_and_printed_cells_stand_in_columns_of_their_own(page):
    table = page[page.index('id="table3"') :]
    table = table[: table.index("</article>")]
    storm = re.search(r"<tr class=\"only-paper\"><th scope=\"row\">StoRM.*?</tr>", table, re.DOTALL).group()
    assert re.findall(r'class="n (\w+)"[^>]*>([^<]+)', storm) == [
        ("paper", "1.61"), ("paper", "6.36"), ("paper", "0.883"), ("paper", "7.0"),
    ]  # fmt: skip
    noisy = re.search(r"<tr><th scope=\"row\">Noisy source audio.*?</tr>", table, re.DOTALL).group()
    assert 'class="n ours"' in noisy and ">1.12<" in noisy


def test_examples_have_words_players_and_reasons_for_lost_audio(page):
    assert '<span class="w-substituted" title="instead of “blue”">blew</span>' in page
    assert '<ins class="w-inserted" title="added">now</ins>' in page
    assert "No audio: failed out of memory" in page
    assert page.count("<audio ") == 4 - 1 + 1 + 2 + 2
    assert "a&lt;b&gt; &amp; babble" in page and "<b> & babble" not in page


def test_what_a_model_said_while_it_was_trained_can_be_heard_step_by_step(page):
    mine = page[page.index("training tts: tts") :]
    assert mine.index("step 500") < mine.index("step 1,000")


def test_what_is_missing_and_where_it_comes_from_is_said(page):
    for text in (
        "tts stopped after 1,200 of 2,600 steps",
        "small_crossattn: not run at the scale nano: no model.",
        "not trained (2,000 steps planned)",
        "models/tts/model.safetensors",
        "Package versions",
    ):
        assert text in page


def test_it_leads_to_the_guide_of_the_command_line(page):
    assert "speechop enhance noisy.wav" in page and "<code>docs/use.md</code>" in page, "a page outside of the checkout"
    for folder in (places.ROOT / "results", places.ROOT / "results" / "report"):
        assert (folder / guide(folder)).resolve() == places.ROOT / "docs" / "use.md"


def test_nothing_is_fetched_from_anywhere(page):
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert all(address.startswith(("#", "data:", "media/")) for address in addresses)
    assert "url(" not in page and "@import" not in page


def test_the_folder_s_media_are_all_there_and_the_file_needs_none(finished):
    folder = finished.results / "report"
    wanted = set(re.findall(r'src="(media/[^"]+)"', (folder / "index.html").read_text()))
    assert wanted == {f"media/{path.name}" for path in (folder / "media").iterdir()}
    assert "media/" not in re.sub(r"base64,[^\"]*", "", (finished.results / "report.html").read_text())


def test_a_missing_results_folder_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(UserError, match="snakemake"):
        collect.check_folder(tmp_path / "nothing")
