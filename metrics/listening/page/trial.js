// One sample: its players, its scales, and the row that is stored for it.
import { make } from "./dom.js";
import { makePlayer } from "./player.js";

export function makeTrial({ study, trial, number, onDone }) {
  const shown = performance.now();
  let hiddenSince = 0;
  let hiddenFor = 0;
  const players = [];
  const add = (source, name) => players.push(makePlayer({ source, name, onPlay: quiet, onHeard: update }));
  if (trial.reference) add(trial.reference, "reference");
  add(trial.sample, "sample");
  const scales = study.scales.map((scale) => makeScale(scale, update));
  const box = make("input", { type: "checkbox", id: "unintelligible", disabled: true });
  const flag = make("label", { className: "check" }, box, study.unintelligible);
  const hint = make("p", { className: "hint", role: "status" });
  const next = make("button", { type: "button", className: "wide", id: "next", disabled: true }, "Next");
  const heading = make("h1", { tabIndex: -1 }, `Sample ${number + 1} of ${study.samples}`);
  const keys = make("p", { className: "keys" }, "Keys: ", ...(trial.reference ? [key("R"), " plays the reference, "] : []),
    key("S"), " plays the sample, ", key("1"), "–", key("5"), " rate, ", key("Enter"), " goes on.");
  const element = make("section", {},
    make("div", { className: "card" }, heading, make("div", { className: "players" }, ...players.map((player) => player.element)), hint),
    make("div", { className: "card" }, ...scales.map((scale) => scale.element), flag, next, keys));

  function quiet(but) {
    for (const player of players) if (player !== but) player.stop();
  }

  function update() {
    const heard = players.every((player) => player.heard);
    for (const scale of scales) scale.element.disabled = !heard;
    box.disabled = !heard;
    const open = scales.filter((scale) => scale.value() === null).length;
    next.disabled = !heard || open > 0;
    const both = players.length > 1 ? "both recordings" : "the recording";
    hint.textContent = heard ? (open ? "Now rate the sample." : "") : `Play ${both} to the end to unlock the scales.`;
  }

  function finish() {
    if (next.disabled) return;
    close();
    onDone({
      kind: "answer",
      trial: number,
      sample: trial.sample,
      ratings: Object.fromEntries(scales.map((scale) => [scale.id, scale.value()])),
      unintelligible: box.checked,
      plays: Object.fromEntries(players.map((player, i) => [trial.reference && i === 0 ? "reference" : "sample", player.plays])),
      milliseconds: Math.round(performance.now() - shown),
      hidden_milliseconds: Math.round(hiddenFor),
      time: new Date().toISOString(),
    });
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "TEXTAREA") return;
    const pressed = event.key.toLowerCase();
    if (pressed === "s") players.at(-1).toggle();
    else if (pressed === "r" && players.length > 1) players[0].toggle();
    else if (/^[1-5]$/.test(pressed)) rate(Number(pressed));
    else if (pressed === "enter" && event.target.tagName !== "BUTTON") finish();
    else return;
    event.preventDefault();
  }

  function rate(value) {
    const inside = scales.find((scale) => scale.element.contains(document.activeElement));
    const scale = inside && !inside.byDigit ? inside : scales.find((one) => one.value() === null);
    if (!scale || scale.element.disabled) return;
    scale.set(value);
    scale.byDigit = true;
    update();
  }

  function onHide() {
    if (document.hidden) hiddenSince = performance.now();
    else hiddenFor += performance.now() - hiddenSince;
  }

  function close() {
    quiet();
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("visibilitychange", onHide);
  }

  next.addEventListener("click", finish);
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", onHide);
  update();
  return { element, heading, close };
}

function key(text) {
  return make("kbd", {}, text);
}

function makeScale(scale, onChange) {
  const inputs = scale.labels.map((_, i) => make("input", { type: "radio", name: scale.id, value: String(i + 1) }));
  const choices = inputs.map((input, i) => make("label", { className: "choice" }, input, make("b", {}, input.value), make("span", {}, scale.labels[i])));
  const element = make("fieldset", { disabled: true },
    make("legend", {}, scale.name), make("p", {}, scale.question), make("div", { className: "scale" }, ...choices));
  const made = { id: scale.id, element, byDigit: false, value, set };

  function value() {
    const chosen = inputs.find((input) => input.checked);
    return chosen ? Number(chosen.value) : null;
  }

  function set(rating) {
    inputs[rating - 1].checked = true;
    inputs[rating - 1].focus();
  }

  element.addEventListener("change", onChange);
  return made;
}
