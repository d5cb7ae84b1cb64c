"""Many recordings through one model: their windows share batches, and one that fails costs its own answer only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from speechbase import audio
from speechbase.files import UserError
from speechbase.voice_activity import NoDetector
from speechop import checks, transcripts
from speechop.recordings import SILENT_PEAK, WINDOW_S, Joined, Level, Recording, Spool, Window, level, windows
from speechop.request import Request
from speechop.transcripts import MIN_CONFIDENCE, Line, Trust

SAME_LOUDNESS = ("enhancement", "acoustic_matching")  # results that take the recording's place, and not a part of it
UNSPOKEN = "no speech was found"


@dataclass
class Job:
    """One recording and what is asked of it.

    Attributes:
        name: for messages.
        task: a task of `speechbase.items.TASKS` that has a source.
        source: the recording, or how to get it (read when its turn comes).
        transcript: what is said: lines with times, or a text that fits in one window.
        recogniser: what transcribes each window instead: (samples [n], rate) -> as `speechop.transcripts.judged` takes
            it.
        prompt, voice: [p] at the model's rate and level, as `SpeechOp.prompt` gives them; voice_text: the voice's
            words.
        loudness: "keep" (the source's, for a result that takes its place), "model" (the model's own), or LUFS.
        min_confidence: a window whose words have less on average is not guided by them.
        any_sound: enhance also what has no speech in it, which else stays as it was.
    """

    name: str
    task: str
    source: Recording | Callable[[], Recording]
    transcript: str | Sequence[Line] | None = None
    recogniser: Callable[[np.ndarray, int], object] | None = None
    prompt: np.ndarray | None = None
    voice: np.ndarray | None = None
    voice_text: str | None = None
    loudness: str | float = "keep"
    min_confidence: float = MIN_CONFIDENCE
    any_sound: bool = False


@dataclass
class Done:
    """A job's answer: tracks at the source's rate (before `level.gain`), or the error instead of all that.

    `lines`: what guided each window; `left`: whether the recording stays as it was, since nobody speaks in it;
        `wall_s`: the job's share of the work.
    """

    job: Job
    recording: Recording | None = None
    tracks: list[Spool] = field(default_factory=list)
    level: Level = Level(1.0, None)  # noqa: RUF009
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: bool = False
    wall_s: float = 0.0
    error: str = ""

    @property
    def source(self) -> Recording:
        """The recording as it was read."""
        if self.recording is None:
            raise ValueError(self.error or "the recording was not read")
        return self.recording

    def blocks(self, seconds: float = 10.0) -> Iterator[np.ndarray]:
        """The result [n, channels], as many channels as the source has, at its final level."""
        size = round(seconds * self.source.rate_hz)
        for parts in zip(*(track.blocks(size) for track in self.tracks)):
            block = np.stack(parts, 1) * np.float32(self.level.gain)
            yield np.repeat(block, self.source.channels, 1) if block.shape[1] < self.source.channels else block

    @property
    def wave(self) -> np.ndarray:
        """The result of a mono source [s]."""
        return np.concatenate([block[:, 0] for block in self.blocks()])


def check_given(name: str, given: str | Sequence[Line], seconds: float) -> None:
    """Refuse (UserError) a text for a recording of more than one window, and lines that go on after its end."""
    if isinstance(given, str):
        if seconds > WINDOW_S:
            raise UserError(
                f"A transcript guides at most {WINDOW_S:.0f} s of audio at once, and {name} lasts {seconds:.1f} s: cut "
                "it, give lines with times, or let each window be transcribed (--itc)."
            )
    elif given and (late := max(line.end for line in given)) > seconds + 1:
        raise UserError(f"{name} lasts {seconds:.2f} s, its transcript {late:.2f} s.")


class _Work:
    """A job under way."""

    def __init__(self, job: Job, rate_hz: int, trust: Trust | None = None):
        self.job, self.rate_hz, self.trust, self.done = job, rate_hz, trust, Done(job)
        self.windows: list[Window] = []
        self.joined: list[Joined] = []
        self.given: list[Line] | None = None

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to process."""
        finished = bool(self.joined) and all(joined.complete for joined in self.joined)
        return bool(self.done.error) or self.done.left or finished

    def _open(self) -> None:
        started = time.perf_counter()
        job = self.job
        self.source = self.done.recording = job.source() if callable(job.source) else job.source
        given = job.transcript
        if given is not None:
            check_given(job.name, given, self.source.seconds)
        whole = [(line.start, line.end) for line in given] if given is not None and not isinstance(given, str) else []
        self.windows = windows(self.source, whole)
        self.joined = [Joined(self.windows, self.source.rate_hz) for _ in self.source.tracks]
        self.given = self._given_lines()
        self._look_for_speech()
        self.done.wall_s += time.perf_counter() - started

    def _look_for_speech(self) -> None:
        """Leave a recording without speech as it is: enhancement would make speech of it."""
        job, done = self.job, self.done
        if job.any_sound or job.task == "noise_isolation" or job.transcript is not None or self.source.silent:
            return
        try:
            if checks.has_speech(self.source):
                return
        except NoDetector as error:
            done.notes.append(str(error).rstrip("."))
            return
        if job.task != "enhancement":
            done.notes.append(f"{UNSPOKEN}: what sounds like it is made up")
            return
        done.left = True
        done.notes.append(f"{UNSPOKEN}: it stays as it was (--any-sound, any_sound=True: enhance it all the same)")
        if job.recogniser is not None:
            done.lines = [Line(*span, "", untrusted=UNSPOKEN) for span in self._spans()]

    def _spans(self) -> list[tuple[float, float]]:
        """Start and end of each window, seconds."""
        rate_hz = self.source.rate_hz
        return [(window.start / rate_hz, window.stop / rate_hz) for window in self.windows]

    def _given_lines(self) -> list[Line] | None:
        given = self.job.transcript
        if given is None:
            return None
        if not isinstance(given, str):
            return transcripts.for_windows(given, self._spans())
        return [Line(*self._spans()[0], transcripts.check_text(given, "The transcript"))]

    def pieces(self) -> Iterator[_Piece]:
        """What is to be processed, window after window."""
        self._open()
        if self.done.left:
            return
        for number, window in enumerate(self.windows):
            parts = [
                audio.resample(
                    track.read(window.first, window.last) * np.float32(self.source.gain),
                    self.source.rate_hz,
                    self.rate_hz,
                )
                for track in self.source.tracks
            ]
            line = self._line(number, window, parts)
            for joined, part in zip(self.joined, parts):
                silent = float(np.abs(part).max(initial=0.0)) < SILENT_PEAK
                request = None if silent else self._request(number, part, line)
                yield _Piece(self, joined, window, request)

    def _line(self, number: int, window: Window, parts: list[np.ndarray]) -> Line | None:
        if self.given is not None:
            line = self.given[number]
        elif self.job.recogniser is not None:
            started, rate_hz = time.perf_counter(), self.source.rate_hz
            span = Line(window.start / rate_hz, window.stop / rate_hz, "")
            first = round((window.start - window.first) / rate_hz * self.rate_hz)
            own = slice(first, first + round((span.end - span.start) * self.rate_hz))  # neighbours hear what is around
            mean = np.asarray(np.mean(parts, 0, dtype=np.float32))
            heard = _heard(self.job.recogniser, mean[own], self.rate_hz)
            line = transcripts.judged(heard, span, span.start, self.job.min_confidence)
            line = line if self.trust is None else self.trust.weigh(line)
            self.done.wall_s += time.perf_counter() - started
        else:
            return None
        self.done.lines.append(line)
        return line

    def _request(self, number: int, part: np.ndarray, line: Line | None) -> Request:
        job, text = self.job, line.guide if line else None
        # The id seeds the noise: by window and not by name, so that a copy of a file, or its other channel, gets the
        # same.
        made = Request(f"{job.task}-{number}", job.task, part, text, job.prompt, job.voice, job.voice_text)
        return replace(made, gamma=line.gamma) if line and text else made

    def finish(self) -> Done:
        """The answer of a job whose windows are all there."""
        job, done = self.job, self.done
        target: float | None
        if isinstance(job.loudness, str):
            target = self.source.loudness if job.loudness == "keep" and job.task in SAME_LOUDNESS else None
        else:
            target = job.loudness
        done.tracks = self.source.tracks if done.left else [joined.track for joined in self.joined]
        done.level = level(done.tracks, self.source, target)
        reasons = [line.untrusted for line in done.lines if line.untrusted]
        if reasons and not done.left:
            done.notes.append(f"{len(reasons)} of {len(done.lines)} windows not guided by a transcript: {reasons[0]}")
        if self.source.silent:
            done.notes.append("silence")
        if done.level.note:
            done.notes.append(done.level.note)
        return done


@dataclass
class _Piece:
    work: _Work
    joined: Joined
    window: Window
    request: Request | None  # None where there is nothing but silence

    @property
    def seconds(self) -> float:
        """What it hears."""
        return (self.window.last - self.window.first) / self.work.source.rate_hz


def answer(
    model, jobs: Iterable[Job], how, progress: Callable[[float], None] | None = None, steps: str | None = None
) -> Iterator[Done]:
    """Answer jobs, in order, `how.batch` windows at a time.

    Args:
        model: a `SpeechOp`; how: its `speechop.settings.Composed`.
        progress: called with the seconds of audio that are done.
        steps: a label for a bar of each batch's sampling steps.
    """
    queue: list[_Piece] = []
    under_way: list[_Work] = []

    def flush():
        _process(model, queue, how, progress, steps)
        queue.clear()

    def finished():
        while under_way and under_way[0].complete:
            work = under_way.pop(0)
            yield work.done if work.done.error else work.finish()

    for job in jobs:
        work = _Work(job, model.rate_hz, how.trust)
        under_way.append(work)
        try:
            for piece in work.pieces():
                queue.append(piece)
                if len(queue) >= how.batch:
                    flush()
            if progress and work.done.left:
                progress(work.source.seconds)
        except UserError as error:
            work.done.error = str(error)
        yield from finished()
    flush()
    yield from finished()


def _heard(recogniser: Callable[[np.ndarray, int], object], wave: np.ndarray, rate_hz: int):
    """What a recogniser, which anybody may have written, says; its failure is its job's."""
    try:
        return recogniser(wave, rate_hz)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"The recogniser failed ({type(error).__name__}: {error}).") from error


def _process(model, queue: list[_Piece], how, progress, steps) -> None:
    """Process what waits: pieces of one task with the same parts given together."""
    alike: dict[tuple, list[_Piece]] = {}
    for piece in queue:
        if piece.request is not None and not piece.work.done.error:
            alike.setdefault(_kind(piece.request), []).append(piece)
    made: dict[int, np.ndarray | None] = {}
    for pieces in alike.values():
        started = time.perf_counter()
        made |= dict(zip(map(id, pieces), _together(model, pieces, how, steps), strict=True))
        wall_s = (time.perf_counter() - started) / sum(piece.seconds for piece in pieces)
        for piece in pieces:
            piece.work.done.wall_s += wall_s * piece.seconds
    for piece in queue:  # in the order of the windows
        work, window = piece.work, piece.window
        if work.done.error:
            continue
        wave = made.get(id(piece))
        if wave is None:
            wave = np.zeros(window.last - window.first, np.float32)
        else:
            wave = audio.resample(wave, model.rate_hz, work.source.rate_hz) / np.float32(work.source.gain)
        piece.joined.add(wave)
        if progress and piece.joined is work.joined[-1]:
            progress((window.stop - window.start) / work.source.rate_hz)


def _kind(request: Request) -> tuple:
    """What requests of one batch have in common: the task, gamma, and which parts are given."""
    return (
        request.task,
        request.gamma,
        *(getattr(request, name) is None for name in ("transcript", "prompt", "voice", "voice_text")),
    )


def _together(model, pieces: list[_Piece], how, steps: str | None) -> list[np.ndarray | None]:
    """The pieces' audio from one batch; if that fails, from one batch each, and those that fail again end their
    jobs."""
    try:
        waves = model.process([piece.request for piece in pieces], how, progress=steps)
        if not all(np.isfinite(wave).all() for wave in waves):
            raise UserError(
                "the model made audio that is not finite: its weights are broken; copy or train them again."
            )
        return waves
    except (UserError, RuntimeError, MemoryError) as error:
        if len(pieces) == 1:
            pieces[0].work.done.error = str(error) or type(error).__name__
            return [None]
        return [wave for piece in pieces for wave in _together(model, [piece], how, steps)]


def listen(job: Job, rate_hz: int) -> list[Line]:
    """What the job's recogniser hears, window by window, without any processing."""
    work = _Work(replace(job, any_sound=True), rate_hz)
    for _ in work.pieces():
        pass
    return work.done.lines
