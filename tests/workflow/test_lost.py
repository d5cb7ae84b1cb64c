"""A deleted audio file is noticed, once, by a note that is newer than the index."""

from __future__ import annotations

import os

from workflow.plan.lost import _touched, note_of


def test_what_is_gone_is_noted_anew_each_time_and_only_then(tmp_path):
    folder, note = tmp_path / "audio", tmp_path / "state" / "note.json"
    assert note_of(folder, note) == []
    folder.mkdir()
    index = folder / "index.csv"
    index.write_text("id,path,status\na,a.wav,ok\nb,b.wav,ok\nc,,failed\n")
    for name in ("a.wav", "b.wav"):
        (folder / name).touch()
    earlier = index.stat().st_mtime_ns - 10**10
    os.utime(index, ns=(earlier, earlier))
    assert note_of(folder, note) == [] and not note.exists()
    (folder / "provenance.json").touch()  # the job's last word: nothing came or went since
    assert not _touched(index)
    os.utime(folder / "provenance.json", ns=(earlier, earlier))
    (folder / "b.wav").unlink()
    assert note_of(folder, note) == [str(note)]
    said = note.read_text()
    assert "b.wav" in said and "a.wav" not in said and note.stat().st_mtime_ns > index.stat().st_mtime_ns
    assert note_of(folder, note) == [str(note)] and note.read_text() == said
    (folder / "b.wav").touch()  # made again, with an index that is newer than the note
    os.utime(note, ns=(earlier - 10**9, earlier - 10**9))
    assert note_of(folder, note) == [str(note)] and note.read_text() == said
    (folder / "a.wav").unlink()
    note_of(folder, note)
    assert "a.wav" in note.read_text()
