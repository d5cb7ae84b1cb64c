"""The local page, `speechop demo`: enhance with and without words, separate, speak; nothing leaves it, no file is
kept."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import numpy as np

from speechbase.files import UserError, install, refusal
from speechbase.settings import value_of
from speechop import MARK, recognisers, transcripts
from speechop.jobs import Job
from speechop.recordings import Recording
from speechop.settings import Composed
from speechop.transcripts import Line

HOST = "127.0.0.1"
MAX_SECONDS, MAX_MEGABYTES = 60.0, 50
KEPT_S = 600  # how long a clip stays on the disk; at the end of the page all go
FOLDER = "speechop-demo-"  # and the process id: where a page keeps its clips
ANALYTICS = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
CSS = ".tab-container.visually-hidden {visibility: hidden}"  # Gradio's hidden copy of the tabs would take the focus
# Gradio names what is empty (a result that is not there yet) without saying what kind of thing it is.
ROLES = """<script>
const nameless = "div[aria-label]:not([role])";
const name_all = () => document.querySelectorAll(nameless).forEach(found => found.setAttribute("role", "img"));
new MutationObserver(name_all).observe(
  document.documentElement, {childList: true, subtree: true, attributeFilter: ["aria-label"]}
);
</script>"""
LINE = re.compile(r"\s*([\d.]+)\s*-\s*([\d.]+)\s*:(.*)")
ABOUT = f"""# SpeechOp

One model whose tasks compose at inference. Clips of up to {MAX_SECONDS:.0f} s; they stay on this machine and are
deleted when the page ends. What is made is marked as synthetic. Use a person's voice with that person's consent only.
"""


def to_lines(text: str) -> list[Line] | str | None:
    """What stands in the transcript's box: lines of "0.00-8.42: words", or words alone; None where there are none.

    Raises:
        UserError: some lines have times and others none, or times that are not rising.
    """
    written = [line for line in text.split("\n") if line.strip()]
    found = [LINE.fullmatch(line) for line in written]
    if not written:
        return None
    if not any(found):
        return transcripts.check_text(" ".join(written), "The transcript")
    lines = []
    for line, match in zip(written, found, strict=True):
        try:
            start, end = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
        except ValueError:
            start = end = 0.0
        if not match or not start < end:
            raise UserError(f"The line {line[:40]!r} is not of the form 0.00-8.42: words.")
        if match[3].strip():
            lines.append(Line(start, end, transcripts.check_text(match[3], "The transcript")))
    return lines or None


def numbers(**fields: float | None) -> dict[str, float]:
    """Settings out of the page's fields, which are empty where somebody cleared them.

    Raises:
        UserError: an empty field.
    """
    found = {}
    for name, value in fields.items():
        if value is None:
            raise UserError(f"The field for {name} is empty: write a number.")
        found[name] = int(value) if float(value).is_integer() else value
    return found


def to_text(lines: list[Line]) -> str:
    """Lines as the transcript's box shows them."""
    return "\n".join(f"{line.start:.2f}-{line.end:.2f}: {'' if line.untrusted else line.text}" for line in lines)


class Studio:
    """What the page's buttons do: files in, (rate, samples) out."""

    def __init__(self, model, folder: Path):
        self.model, self.folder = model, folder
        self._recognisers: dict[str, Any] = {}

    def _recogniser(self, name: str):
        if name not in self._recognisers:
            self._recognisers[name] = recognisers.load(name)
        return self._recognisers[name]

    def _source(self, path: str | None, what: str) -> Recording:
        if not path:
            raise UserError(f"There is no {what} yet: drop a file, or record one.")
        source = Recording.read(path, "mean", MAX_SECONDS)
        if source.seconds > MAX_SECONDS:
            raise UserError(f"The {what} is too long: at most {MAX_SECONDS:.0f} s are taken here; cut it.")
        return source

    def _prompt(self, path: str | None, what: str) -> np.ndarray:
        source = self._source(path, what)
        return self.model.prompt(source.tracks[0].read(), source.rate_hz, f"the {what}")

    def _answer(self, job: Job, **settings):
        (done,) = self.model.answer([job], **settings)
        if done.error:
            raise UserError(done.error)
        return done

    def _file(self, wave: np.ndarray, rate_hz: int, name: str) -> str:
        """A marked WAV in the page's folder: what is played is what is downloaded."""
        from speechbase import audio

        for old in self.folder.glob("made-*"):
            if time.time() - old.stat().st_mtime > KEPT_S:
                shutil.rmtree(old, ignore_errors=True)
        path = Path(tempfile.mkdtemp(prefix="made-", dir=self.folder)) / f"{name}.wav"
        audio.write(path, wave, rate_hz, comment=MARK)
        return str(path)

    def enhance(self, path, words: str, own: bool, asr: str, gamma: float, voice, steps: int, seed: int) -> tuple:
        """Input, enhanced and guided audio at one loudness, the transcript, what is to be said, and a picture of all
        three."""
        source = self._source(path, "recording")
        voice = None if not voice else self._prompt(voice, "voice")
        settings, strength = numbers(steps=steps, seed=seed), numbers(gamma=gamma)
        given = to_lines(words) if own else None
        if own and given is None:
            raise UserError("There is no transcript: write what is said, or let it be heard.")
        plain = self._answer(Job("the recording", "enhancement", source, voice=voice), **settings)
        recogniser = None if own else self._recogniser(asr).transcribe
        job = Job("the recording", "enhancement", source, given, recogniser, voice=voice)
        guided = self._answer(job, **settings, **strength)
        waves = {"input": source.tracks[0].read(), "enhanced": plain.wave, "guided": guided.wave}
        files = [self._file(wave, source.rate_hz, name) for name, wave in waves.items()]
        said = "\n".join(f"- {transcripts.told(line)}" for line in guided.lines) + "".join(
            f"\n- {note}" for note in guided.notes
        )
        return *files, to_text(guided.lines), said, spectrograms(waves, source.rate_hz)

    def separate(self, path, prompt, steps: int, seed: int) -> tuple:
        """The mixture and the prompt's speaker out of it, and their picture."""
        source = self._source(path, "mixture")
        job = Job("the mixture", "separation", source, prompt=self._prompt(prompt, "prompt"))
        done = self._answer(job, **numbers(steps=steps, seed=seed))
        picture = spectrograms({"mixture": source.tracks[0].read(), "separated": done.wave}, source.rate_hz)
        return self._file(done.wave, source.rate_hz, "separated"), picture

    def speak(self, text: str, prompt, prompt_text: str, steps: int, seed: int) -> tuple:
        """The text in the prompt's voice, and its picture."""
        source = self._source(prompt, "prompt")
        how = numbers(steps=steps, seed=seed)
        wave = self.model.tts(text, source.tracks[0].read(), prompt_text, source.rate_hz, **how)
        return self._file(wave, source.rate_hz, "speech"), spectrograms({"speech": wave}, source.rate_hz)


def spectrograms(waves: dict[str, np.ndarray], rate_hz: int) -> Any:
    """A figure of log spectrograms, one under the other, on one scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.9 * len(waves)), layout="constrained")
    axes = figure.subplots(len(waves), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (name, wave) in zip(axes, waves.items(), strict=True):
        axis.specgram(wave + 1e-6, NFFT=512, Fs=rate_hz, noverlap=384, vmin=-140, vmax=-40)
        axis.set(ylabel="Hz", title=name, ylim=(0, min(8000, rate_hz / 2)))
    axes[-1].set_xlabel("s")
    return figure


def build(studio: Studio, names: list[str], usual: dict) -> tuple[Any, Any]:
    """The page and its theme; `usual`: the sampling defaults of the weights."""
    import gradio as gr

    def guarded(function: Callable) -> Callable:
        """A user's mistake is a sentence on the page."""

        @wraps(function)
        def run(*values):
            try:
                return function(*values)
            except (UserError, OSError) as error:
                sentence = refusal(error) if isinstance(error, OSError) else str(error)
                if sentence is None:
                    raise
                raise gr.Error(sentence, print_exception=False) from None

        return run

    def clip(label: str):
        sources: list[Literal["upload", "microphone"]] = ["upload", "microphone"]
        return gr.Audio(label=label, type="filepath", sources=sources, format="wav", buttons=["download"])

    def how():
        with gr.Row():
            steps = gr.Slider(1, 64, usual.get("steps", 32), step=1, label="Sampling steps")
            seed = gr.Number(0, precision=0, label="Seed")
        return steps, seed

    def result(label: str):
        name = label.lower().replace(" ", "-")
        return gr.Audio(label=label, type="filepath", interactive=False, buttons=["download"], elem_id=name)

    # Fonts of the system: the usual ones would be fetched from elsewhere. Darker greys and blue: contrast of 4.5 and
    # more.
    greys = {key: value for key, value in vars(gr.themes.colors.gray).items() if key.startswith("c")}
    grey = gr.themes.Color(name="grey", **(greys | {"c400": "#4b5563", "c500": "#4b5563"}))
    theme = gr.themes.Default(
        primary_hue="blue", neutral_hue=grey, font=["system-ui", "sans-serif"], font_mono=["monospace"]
    ).set(button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800")
    with gr.Blocks(title="SpeechOp", analytics_enabled=False, delete_cache=(60, KEPT_S)) as page:
        gr.Markdown(ABOUT)
        with gr.Tab("Enhance"):
            recording = clip("Recording")
            with gr.Row():
                asr = gr.Dropdown(names, value=names[0] if names else None, label="Recogniser")
                strength = value_of(Composed, usual, "gamma")
                gamma = gr.Slider(0, 5, strength, step=0.1, label="Strength of the words (gamma)")
            voice = clip("Voice of the speaker (optional, up to 10 s)")
            steps, seed = how()
            words = gr.Textbox(
                label="Transcript", lines=3, placeholder="filled by what is heard; mend it, or write your own"
            )
            with gr.Row():
                listen = gr.Button("Enhance and listen (ITC)", variant="primary")
                again = gr.Button("Enhance with this transcript")
            with gr.Row():
                before, plain, guided = result("Input"), result("Enhanced"), result("Enhanced with words")
            said = gr.Markdown(label="What was heard")
            picture = gr.Plot(label="Spectrograms")
            shared = [recording, words, asr, gamma, voice, steps, seed]
            shown = [before, plain, guided, words, said, picture]
            for button, own in ((listen, False), (again, True)):
                button.click(
                    guarded(lambda path, text, *more, own=own: studio.enhance(path, text, own, *more)), shared, shown,
                    concurrency_limit=1, concurrency_id="model", show_progress="full",
                )  # fmt: skip
        with gr.Tab("Separate"):
            mixture, prompt = clip("Mixture of two speakers"), clip("Other speech of the wanted one (up to 10 s)")
            steps, seed = how()
            button, separated, picture = (
                gr.Button("Separate", variant="primary"),
                result("Separated"),
                gr.Plot(label="Spectrograms"),
            )
            button.click(guarded(studio.separate), [mixture, prompt, steps, seed], [separated, picture],
                         concurrency_limit=1, concurrency_id="model")  # fmt: skip
        with gr.Tab("Speak"):
            text = gr.Textbox(label="What to say")
            prompt, prompt_text = clip("Voice to speak in (up to 10 s)"), gr.Textbox(label="What that voice says there")
            steps, seed = how()
            button, speech, picture = (
                gr.Button("Speak", variant="primary"),
                result("Speech"),
                gr.Plot(label="Spectrograms"),
            )
            button.click(guarded(studio.speak), [text, prompt, prompt_text, steps, seed], [speech, picture],
                         concurrency_limit=1, concurrency_id="model")  # fmt: skip
    return page, theme


def require() -> None:
    """Load Gradio, with its telemetry off, and Matplotlib; their absence is a UserError."""
    os.environ.update(ANALYTICS)
    try:
        import gradio  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(f"The page needs Gradio and Matplotlib ({error}): {install('demo')}.") from None


def check_port(port: int) -> None:
    """Refuse (UserError) a port that somebody else has."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server does: a page that ended is nobody
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise _taken(port, error) from None


def _taken(port: int, error: OSError) -> UserError:
    return UserError(f"The page cannot be served on port {port} ({error}); choose another --port.")


def clear_orphans() -> None:
    """Delete the clips of pages that were killed and could not do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdecimal() and os.name == "posix":
            try:
                os.kill(int(owner), 0)  # asks whether there is such a process
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
            except (PermissionError, OverflowError):
                continue


def serve(model, names: list[str], port: int, *, wait: bool = True) -> Any:
    """Serve the page on this machine alone until it is interrupted; its files go with it.

    Returns:
        the running page (`wait=False`), whose `close()` ends it.

    Raises:
        UserError: Gradio is not installed, or the port is taken.
    """
    require()
    clear_orphans()
    folder = tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-")
    os.environ["GRADIO_TEMP_DIR"] = folder.name
    page, theme = build(Studio(model, Path(folder.name)), names, model.config["sampling"])
    page.kept = folder  # deleted with the page
    try:
        page.queue(max_size=20).launch(
            server_name=HOST,
            server_port=port,
            share=False,
            max_file_size=MAX_MEGABYTES * 2**20,
            theme=theme,
            css=CSS,
            head=ROLES,
            prevent_thread_lock=not wait,
            quiet=True,
            show_error=True,
            footer_links=[],
        )
    except OSError as error:
        raise _taken(port, error) from None
    finally:
        if wait:
            folder.cleanup()
    return page
