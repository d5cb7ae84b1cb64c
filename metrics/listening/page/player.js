// A play button whose recording counts as heard only after it ran to its end in one piece, aloud and at its own speed.
import { make } from "./dom.js";

const ENOUGH = 0.98; // of the recording has been played
const REAL_TIME = 0.9; // of its length has passed on the clock: a faster playback does not count

export function makePlayer({ source, name, onPlay, onHeard }) {
  const audio = make("audio", { src: source, preload: "auto" });
  const button = make("button", { type: "button", className: "play" }, `▶ Play ${name}`);
  const bar = make("div");
  const state = make("p", { className: "state", role: "status" }, "Not heard yet");
  const element = make("div", { className: "player" }, make("h2", {}, name[0].toUpperCase() + name.slice(1)),
    button, make("div", { className: "track", ariaHidden: "true" }, bar), state, audio);
  const player = { element, button, heard: false, plays: 0, stop, toggle };
  let honest = false;
  let ownSeek = false;
  let began = 0;

  function start() {
    onPlay(player);
    honest = true;
    began = 0;
    say(player.heard ? "✓ Heard" : "Playing …");
    audio.muted = false;
    if (audio.volume === 0) audio.volume = 1;
    audio.playbackRate = 1;
    if (audio.currentTime > 0) {
      ownSeek = true;
      audio.currentTime = 0;
    }
    audio.play().then(() => player.plays++, () => failed());
  }

  function say(text, again = false) {
    state.textContent = text;
    state.classList.toggle("again", again);
  }

  function stop() {
    if (!audio.paused) audio.pause();
  }

  function toggle() {
    if (audio.paused) start();
    else stop();
  }

  function failed() {
    say("The recording could not be played. Check your connection and press play again.", true);
    button.textContent = `▶ Play ${name}`;
    if (audio.error) audio.load();
  }

  function wholly() {
    let played = 0;
    for (let i = 0; i < audio.played.length; i++) played += audio.played.end(i) - audio.played.start(i);
    return played >= ENOUGH * audio.duration && performance.now() - began >= REAL_TIME * 1000 * audio.duration;
  }

  button.addEventListener("click", toggle);
  audio.addEventListener("playing", () => {
    began ||= performance.now();
    button.textContent = `■ Stop ${name}`;
  });
  audio.addEventListener("seeking", () => {
    if (ownSeek) ownSeek = false;
    else honest = false;
  });
  audio.addEventListener("volumechange", () => {
    if (audio.muted || audio.volume === 0) honest = false;
  });
  audio.addEventListener("ratechange", () => {
    if (audio.playbackRate !== 1) honest = false;
  });
  audio.addEventListener("timeupdate", () => {
    bar.style.width = `${100 * audio.currentTime / (audio.duration || 1)}%`;
  });
  audio.addEventListener("pause", () => {
    button.textContent = `▶ Play ${name}`;
    if (audio.ended) return;
    honest = false;
    if (!player.heard) say("Not heard to its end yet");
  });
  audio.addEventListener("error", failed);
  audio.addEventListener("ended", () => {
    button.textContent = `▶ Play ${name} again`;
    if (honest && wholly()) {
      player.heard = true;
      say("✓ Heard");
      element.classList.add("heard");
      onHeard();
    } else if (!player.heard) {
      say("Please play it to its end without skipping, muting or speeding it up.", true);
      audio.load(); // forgets what was played so far
    }
  });
  return player;
}
