"""What the file system refuses is one sentence before the work; hostile JSON and YAML end in a sentence as well."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from speechbase.files import (
    UserError,
    append_jsonl,
    atomic,
    check_output,
    parse_json,
    plain_errors,
    read_json,
    read_jsonl,
    read_yaml,
    write_text,
)


def status(action, capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        plain_errors(action)()
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EIO, errno.ENOSPC])
def test_what_the_file_system_refuses_is_a_sentence_with_the_path(capsys, number):
    def refused():
        raise OSError(number, "refused so", "some/place.wav")

    code, said = status(refused, capsys)
    assert code == 2 and "some/place.wav" in said and said.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_named_by_what_was_to_be_written(tmp_path, capsys):
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    for write in (
        lambda: append_jsonl(tmp_path / "journal.jsonl", {"a": 1}),
        lambda: _written(tmp_path / "table.csv"),
    ):
        code, said = status(write, capsys)
        assert code == 2 and "No space left" in said and str(tmp_path) in said and said.count("\n") == 1


def _written(path):
    with atomic(path), open("/dev/full", "w") as stream:
        stream.write("x")


def test_other_errors_of_the_system_are_not_hidden(capsys):
    def refused():
        raise OSError("no number, no file")

    with pytest.raises(OSError, match="no number"):
        plain_errors(refused)()


def test_a_place_is_checked_before_it_is_written(tmp_path):
    file = tmp_path / "file"
    write_text(file, "x")
    check_output(file), check_output(tmp_path, folder=True), check_output(tmp_path / "new" / "deep.wav")
    for path, folder in ((tmp_path, False), (file, True), (file / "below", False), ("/proc/nothing", False)):
        with pytest.raises(UserError, match=str(path)):
            check_output(path, folder=folder)
    assert sorted(tmp_path.iterdir()) == [file]


HOSTILE_YAML = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{now}: &{now} [{','.join([f'*{before}'] * 10)}]\n" for before, now in zip("abcdefgh", "bcdefghi")),
    "itself": "a: &a [*a]\n",
    "deep": "a: " + "[" * 100_000 + "]" * 100_000,
    "object": "a: !!python/object/apply:os.system [id]\n",
    "list": "[1, 2]\n",
    "broken": "a: [\n",
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE_YAML)
def test_hostile_yaml(tmp_path, name):
    path = tmp_path / f"{name}.yaml"
    path.write_text(HOSTILE_YAML[name])
    with pytest.raises(UserError, match=f"{name}.yaml"):
        read_yaml(path)


def test_yaml_with_merged_keys_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("\ufeffd: &d {x: 1}\ne: {<<: *d, y: 2}\n", encoding="utf-8")
    assert read_yaml(path)["e"] == {"x": 1, "y": 2}


def test_hostile_json(tmp_path):
    deep, path = "[" * 100_000 + "]" * 100_000, tmp_path / "a.json"
    for text, said in (
        (deep, "not valid JSON"),
        ("[]", "JSON object"),
        ("{", "not valid JSON"),
        ('"x"', "JSON object"),
    ):
        with pytest.raises(UserError, match=said):
            parse_json(text, "--config")
    path.write_text(deep)
    with pytest.raises(UserError, match=r"a\.json"):
        read_json(path)
    path.write_text(deep + "\n{}\n")
    with pytest.raises(UserError, match=r"a\.json line 1"):
        read_jsonl(path)
    path.write_text('\ufeff{"a": 1}\n', encoding="utf-8")
    assert read_json(path) == {"a": 1} and read_jsonl(path) == [{"a": 1}]
