"""Text files as Windows and spreadsheets write them, and letters in their Unicode variants."""

from __future__ import annotations

import string

import pytest

from speechbase.files import UserError
from speechbase.texts import fold, read_table, read_text

TABLE = "id,text\nä,“wörds”\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, capsys, encoding, ends):
    path = tmp_path / "t.csv"
    path.write_bytes(TABLE.replace("\n", ends).encode(encoding))
    assert read_text(path) == TABLE
    assert read_table(path, ["id"]) == [{"id": "ä", "text": "“wörds”"}]
    assert ("Windows-1252" in capsys.readouterr().err) == (encoding == "cp1252")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\n"])
def test_separators(tmp_path, separator, first):
    path = tmp_path / "t.csv"
    lines = [["id", " text "], ["a", f'"x{separator}y"'], ["b", ""]]
    path.write_text(first.format(separator) + "".join(separator.join(line) + "\n" for line in lines))
    assert read_table(path, ["id", "text"]) == [{"id": "a", "text": f"x{separator}y"}, {"id": "b", "text": ""}]


def test_tables_that_are_none(tmp_path):
    path = tmp_path / "t.csv"
    for content, said in (
        (b"", "is empty"),
        (b"name,text\na,b\n", "no column 'id'"),
        (b"id,text\na,b,c\n", "row 1 has more cells"),
        (b"id,id\na,b\n", "twice"),
        (b"id\n\x81\x8d\n", "unknown encoding"),
        (b"PK\x03\x04\x00\x00", "no text file"),
        (b"id,text\na," + b"x" * 10_000_000 + b"\n", "field limit"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_table(path, ["id"])
    with pytest.raises(UserError, match="is a folder"):
        read_text(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        read_text(tmp_path / "none.txt")


def test_variants_of_one_letter_are_one_letter():
    plain = 'don\'t co-op "quick" cafe\u0301 fine 20 naive...'
    varied = "don’t co\u2011op “quick” café ﬁne ２０ na\u00adive…"
    assert fold(varied) == fold(plain) and fold(fold(varied)) == fold(varied)
    for apostrophe in "‘’ʼ′＇`´":
        assert fold(f"don{apostrophe}t") == "don't"
    ascii_text = "".join(set(string.printable) - {"`"})
    assert fold(ascii_text) == ascii_text
    assert fold("he said ‘it’s the dogs’ day’ and left") == "he said \"it's the dogs\" day' and left"
    assert fold("‘hello’, ‘don’t’, `quoted`, ’tis") == '"hello", "don\'t", "quoted", \'tis'
    assert fold("कि की ไทย 汉语") == "कि की ไทย 汉语"
