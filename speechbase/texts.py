"""Text as people write it: files as Windows and spreadsheets save them, and one form for a letter's Unicode
variants."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from speechbase.files import UserError, warn

MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEPARATORS = ",;\t|"
MAX_BYTES = 1024  # of what is said, or guides, at once
APOSTROPHES = "\u2018\u2019\u201a\u201b\u02b9\u02bb\u02bc\u02c8\u2032\u2035\uff07\ua78c\u00b4\u0060"
QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u2036\uff02"
HYPHENS = "\u2010\u2011\u2212\ufe63\uff0d"
DASHES = "\u2012-\u2015\u2e3a\u2e3b"  # a range for regular expressions; they stand between words without blanks
# What parts words without blanks: dashes, and signs between letters ("and/or", "wait...what") but "don't" and "co-op"
PARTING = re.compile(rf"[_{DASHES}]|(?<=[^\W\d_])[^\w\s'\u0300-\u036f-]+(?=[^\W\d_])")
# An opening mark, words with their own apostrophes, a closing mark
SINGLE_QUOTED = re.compile(
    r"(?<!\w)[\u2018\u201a\u201b\u0060]((?:[^\u2018\u2019\u0060]|(?<=\w)\u2019(?=\w))*)[\u2018\u2019\u0060](?!\w)"
)
_FOLDED = str.maketrans(dict.fromkeys(APOSTROPHES, "'") | dict.fromkeys(QUOTES, '"') | dict.fromkeys(HYPHENS, "-"))


def fold(text: str) -> str:
    """One form for what is one letter to a reader: composed accents, plain apostrophes, quotes and hyphens, no
    ligatures, no full-width forms, nothing invisible (Unicode's NFKC, and the look-alikes that it keeps apart). Single
    quotes around words become double ones, since a plain apostrophe belongs to a word.

    Text in plain ASCII stays as it is, but for the grave accent, which stands for an apostrophe.
    """
    seen = "".join(c for c in text if not _is_invisible(c))
    return unicodedata.normalize("NFKC", SINGLE_QUOTED.sub(r'"\1"', seen).translate(_FOLDED))


def _is_invisible(c: str) -> bool:
    """Soft hyphens, joiners, marks and brackets of direction (Unicode's format characters), variation selectors."""
    return unicodedata.category(c) == "Cf" or "\ufe00" <= c <= "\ufe0f" or c in "\u034f\u180e"


def read_text(path: str | Path) -> str:
    """The text of a user's file: UTF-8 or UTF-16 with a byte-order mark, UTF-8, or else Windows-1252 with a warning.

    Raises:
        UserError: missing, a folder, or in none of these encodings.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file.")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = _windows(path, raw)
    if "\x00" in text:
        raise UserError(f"{path} is no text file; save it as UTF-8 text.")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _windows(path: Path, raw: bytes) -> str:
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        raise UserError(f"{path} is in an unknown encoding; save it as UTF-8 text.") from None
    warn(f"{path} is not UTF-8 and is read as Windows-1252; save it as UTF-8 if letters come out wrong.")
    return text


def read_table(path: str | Path, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a table that a user or a program wrote: comma, semicolon, tab or bar between the cells, a header first.

    Names of columns and cells lose surrounding blanks; a cell that a row lacks is "".

    Args:
        required: columns that must be there.

    Raises:
        UserError: as `read_text`; no header, a missing or doubled column, a row with more cells than the header.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    declared = first.strip(' "').lower()
    separator = None
    if declared.startswith("sep=") and len(declared) == 5:  # a spreadsheet's own first line
        separator, text = declared[4], rest
    header_line = next((line for line in text.split("\n") if line.strip()), "")
    separator = separator or max(SEPARATORS, key=lambda one: len(next(csv.reader([header_line], delimiter=one), [])))
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(map(str.strip, line))
        ]
    except csv.Error as error:
        raise UserError(f"{path} is not a readable table ({error}); save it as CSV.") from None
    if not lines:
        raise UserError(f"{path} is empty; a table with a header is needed.")
    header = [name.strip() for name in lines[0]]
    while header and not header[-1]:
        header.pop()
    for column in required:
        if column not in header:
            raise UserError(f"{path} has no column {column!r}; it has {', '.join(header)}.")
    if doubled := [name for name in header if header.count(name) > 1]:
        raise UserError(f"{path} has the column {doubled[0]!r} twice; rename one.")
    for number, line in enumerate(lines[1:], 1):
        if any(cell.strip() for cell in line[len(header) :]):
            raise UserError(f"{path}, row {number} has more cells than the header; put cells with commas in quotes.")
    return [
        dict(zip(header, [cell.strip() for cell in line] + [""] * (len(header) - len(line)), strict=False))
        for line in lines[1:]
    ]


def spoken(text: str) -> str:
    """The form in which models and aligners know what is said: lower case, letters, digits and apostrophes, single
    spaces.

    Other signs are left out; line ends, dashes and signs between letters (but hyphens) part words.
    """
    apart = PARTING.sub(" ", fold(text)).lower()
    return " ".join("".join(c for c in apart if c.isalnum() or c in "' " or c.isspace()).split())


def check_text(text: str, name: str) -> str:
    """A text in the form that the model knows.

    Args:
        name: what it is called, as the message's subject: "--transcript".

    Raises:
        UserError: no letters or digits, letters that are not Latin, or more than 1,024 bytes.
    """
    plain = spoken(text)
    if not any(c.isalnum() for c in plain):
        raise UserError(f"{name} {text[:60]!r} has no letters or digits: there is nothing to say.")
    for c in plain:
        if c.isalpha() and not unicodedata.name(c, "").startswith("LATIN"):
            raise UserError(f"{name} has the letter {c!r}: the model knows English in Latin letters only.")
    if len(plain.encode()) > MAX_BYTES:
        raise UserError(f"{name} has {len(plain.encode())} bytes; at most {MAX_BYTES} are said at once: split it.")
    return plain
