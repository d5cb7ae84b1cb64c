// The road through a study: consent, setup, practice, samples, remark, completion code.
import { make } from "./dom.js";
import { makePlayer } from "./player.js";
import { Saver } from "./saver.js";
import { makeTrial } from "./trial.js";

const page = document.getElementById("page");
const query = new URLSearchParams(location.search);
let study;
let saver;
let trials;
let stored = new Set();

function show(heading, ...content) {
  const title = make("h1", { tabIndex: -1 }, heading);
  page.replaceChildren(make("section", { className: "card" }, title, ...content));
  scrollTo(0, 0);
  title.focus();
}

function button(text, action, properties = {}) {
  const element = make("button", { type: "button", ...properties }, text);
  element.addEventListener("click", action);
  return element;
}

function paragraph(text) {
  return make("p", {}, ...text.split("**").map((part, i) => (i % 2 ? make("strong", {}, part) : part)));
}

function progress(done) {
  const bar = document.getElementById("progress");
  bar.setAttribute("aria-valuemax", study.samples);
  bar.setAttribute("aria-valuenow", done);
  bar.firstElementChild.style.width = `${100 * done / study.samples}%`;
  document.getElementById("count").textContent = `${done} of ${study.samples} done`;
}

function onState(state) {
  const waiting = state.kept.waiting.length;
  const line = document.getElementById("saving");
  line.replaceChildren();
  if (state.refusal) line.append(`An answer was not accepted (${state.refusal}). `, download());
  else if (waiting && state.failures) {
    line.append(`${waiting === 1 ? "1 answer waits" : `${waiting} answers wait`} for the connection. You can go on. `);
    if (state.failures > 4) line.append(download());
  }
}

function download() {
  return button("Download my answers", () => saver.download(), { className: "second" });
}

function consent() {
  const box = make("input", { type: "checkbox", id: "agree" });
  const go = button("Start", () => {
    saver.put({ kind: "consent", time: new Date().toISOString() });
    setup();
  }, { disabled: true, className: "wide" });
  box.addEventListener("change", () => { go.disabled = !box.checked; });
  const no = button("I do not want to take part", () => show("Thank you",
    paragraph("No answers were stored. Please return the submission on Prolific and close this page.")), { className: "second wide" });
  show(study.title, ...study.consent.map(paragraph),
    make("label", { className: "check" }, box, "I am at least 18 years old, English is my first language, I have read this page and I want to take part."),
    make("div", { className: "row" }, go, no));
}

function setup() {
  const kinds = [["headphones", "Headphones"], ["earphones", "Earphones"], ["loudspeakers", "Loudspeakers"]];
  const inputs = kinds.map(([value]) => make("input", { type: "radio", name: "headphones", value }));
  const go = button("Go on", () => practice(inputs.find((input) => input.checked).value), { disabled: true, className: "wide" });
  for (const input of inputs) input.addEventListener("change", () => { go.disabled = false; });
  show("How do you listen?", make("fieldset", { className: "list" }, make("legend", {}, "I listen with"),
    ...inputs.map((input, i) => make("label", { className: "choice" }, input, kinds[i][1]))), go);
}

function practice(headphones) {
  const go = button("Begin", () => {
    saver.put({ kind: "remark", trial: 0, headphones });
    nextTrial();
  }, { disabled: true, className: "wide" });
  const player = makePlayer({ source: study.practice, name: "practice recording", onPlay() {}, onHeard() { go.disabled = false; } });
  show("Instructions", make("ul", {}, ...study.instructions.map((line) => make("li", {}, line))),
    paragraph("Play this recording to its end and set a comfortable volume."), make("div", { className: "players" }, player.element),
    make("p", {}), go);
}

function nextTrial() {
  const number = trials.findIndex((_, i) => !stored.has(i) && !saver.has("answer", i));
  progress(number < 0 ? study.samples : number);
  if (number < 0) return remark();
  const onDone = (row) => {
    saver.put(row);
    nextTrial();
  };
  const shown = makeTrial({ study, trial: trials[number], number, onDone });
  page.replaceChildren(shown.element);
  scrollTo(0, 0);
  shown.heading.focus({ preventScroll: true });
  for (const source of Object.values(trials[number + 1] || {})) make("audio", { src: source, preload: "auto" });
}

function remark() {
  if (saver.has("remark", 1) || stored.has("complete")) return finish();
  const text = make("textarea", { id: "comment", maxLength: 1500 });
  show("One last thing", make("label", { htmlFor: "comment" }, "Is there anything you want to tell us? (You may leave this empty.)"), text,
    make("p", {}), button("Finish", () => {
      // What a spreadsheet or a browser could run is taken out here; the other side refuses it.
      saver.put({ kind: "remark", trial: 1, comment: text.value.replace(/[<>]/g, " ").replace(/^[\s=+@-]+/, "") });
      finish();
    }, { className: "wide" }));
}

async function finish() {
  if (saver.kind === "download") {
    show("Please download your answers", paragraph("This page cannot send them by itself. Save the file and send it to the researcher."),
      button("Download my answers", async () => {
        saver.download();
        done(await saver.complete());
      }));
    return;
  }
  show("Saving your answers", paragraph("Please keep this page open."));
  try {
    done(await saver.complete());
  } catch (error) {
    show("Your answers are not all saved yet", paragraph(`The connection fails (${error.message}). Nothing is lost: keep this page open and try again.`),
      make("div", { className: "row" }, button("Try again", finish), download()));
  }
}

function done({ code, url }) {
  show("Thank you!", paragraph("All your answers are saved. Your completion code is"), make("p", { className: "code", id: "code" }, code),
    make("p", {}, make("a", { className: "button wide", id: "return", href: url, rel: "noreferrer" }, "Return to Prolific")));
}

function identity() {
  const names = study.parameters;
  const ids = { participant: query.get(names.participant), session: query.get(names.session), study: query.get(names.study) || "none" };
  if (query.get(names.list)) ids.list = query.get(names.list);
  if (!ids.participant || !ids.session) {
    const session = sessionStorage.getItem("preview") || `preview-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    sessionStorage.setItem("preview", session);
    document.getElementById("title").textContent = "Preview (answers do not count)";
    return { ...ids, participant: "preview", session };
  }
  return ids;
}

// One tab a submission: two would answer the same samples twice.
function onlyTab(name) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    });
  });
}

async function load(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: status ${response.status}`);
  return response.json();
}

async function begin() {
  if (location.protocol === "file:") {
    show("This page needs a web server", paragraph("Start it with: python -m metrics.listening serve, followed by the study's folder."));
    return;
  }
  study = await load("study.json");
  document.title = study.title;
  document.getElementById("title").textContent = study.title;
  const ids = identity();
  saver = new Saver(study, ids, onState);
  if (!(await onlyTab(saver.name))) {
    show("This study is already open", paragraph("Please go on in the other tab, or close it and reload this one."));
    return;
  }
  const state = await saver.start();
  if (!state.list) throw new Error("the link is incomplete");
  stored = new Set(state.stored);
  trials = (await load(`lists/${state.list}.json`)).trials;
  progress(trials.filter((_, i) => stored.has(i) || saver.has("answer", i)).length);
  if (state.complete) {
    stored.add("complete");
    finish();
  } else if (!state.consent && !saver.has("consent")) consent();
  else if (!stored.size && !saver.has("remark", 0)) setup();
  else nextTrial();
}

begin().catch((error) => show("The study could not be opened",
  paragraph(`${error.message}. Please check the link from Prolific and your connection, then reload the page.`),
  button("Reload", () => location.reload())));
