// Answers on their way: kept in the browser until the other side has acknowledged each of them.
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000];
const PIPE = "https://pipe.jspsych.org/api/data/";

export class Saver {
  constructor(study, ids, onState) {
    this.study = study;
    this.ids = ids;
    this.onState = onState;
    this.kind = study.endpoint.kind;
    this.base = study.endpoint.url || "";
    this.name = `listening-${study.version}-${ids.session}`;
    this.kept = { rows: [], waiting: [] };
    try {
      this.kept = JSON.parse(localStorage.getItem(this.name)) || this.kept;
    } catch { /* a browser without storage still sends; only a reload would forget what waits */ }
    this.failures = 0;
    this.refusal = "";
    addEventListener("online", () => this.flush());
    addEventListener("beforeunload", (event) => {
      if (this.kept.waiting.length && this.kind !== "download") event.preventDefault();
    });
  }

  async start() {
    if (this.kind !== "collector") return { list: this.ids.list, stored: [], consent: false, complete: false };
    const reply = await this.send("start", this.ids.list ? {} : { list: undefined });
    this.ids.list = reply.list;
    this.flush();
    return reply;
  }

  has(kind, trial = -1) {
    return this.kept.rows.some((row) => row.kind === kind && row.trial === trial);
  }

  put(row) {
    const full = { trial: -1, ...row };
    if (this.has(full.kind, full.trial)) return;
    this.kept.rows.push(full);
    this.kept.waiting.push(full);
    this.keep();
    this.flush();
  }

  keep() {
    try {
      localStorage.setItem(this.name, JSON.stringify(this.kept));
    } catch { /* see above */ }
    this.onState(this);
  }

  async flush() {
    if (this.busy || this.kind === "download" || this.kind === "datapipe") return;
    this.busy = true;
    while (this.kept.waiting.length) {
      try {
        await this.send("answer", this.kept.waiting[0]);
        this.failures = 0;
        this.kept.waiting.shift();
      } catch (error) {
        if (error.status === 409) this.kept.waiting.shift(); // the other side has an answer to this sample already
        else if (error.status >= 400 && error.status < 500 && ![408, 413, 429].includes(error.status)) {
          this.refusal = error.message;
          break;
        } else {
          this.failures++;
          this.onState(this);
          await this.pause();
        }
      }
      this.keep();
    }
    this.busy = false;
    this.onState(this);
  }

  pause() {
    const wait = PAUSES_MS[Math.min(this.failures, PAUSES_MS.length) - 1];
    return new Promise((resolve) => {
      setTimeout(resolve, wait);
      addEventListener("online", resolve, { once: true });
    });
  }

  async settled() {
    while (this.kept.waiting.length && !this.refusal) {
      this.flush();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    if (this.refusal) throw new Error(this.refusal);
  }

  // The completion code, once everything has arrived. Without a collector it stands in the page's own settings.
  async complete() {
    if (this.kind === "datapipe") await this.pipe();
    if (this.kind === "collector" || this.kind === "post") await this.settled();
    if (this.kind !== "collector") return this.study.completion;
    const reply = await this.send("complete", {});
    if (reply.code) return reply;
    const lost = this.kept.rows.filter((row) => row.kind === "consent" || reply.missing.includes(row.trial));
    if (!lost.length) throw new Error(`the answers to samples ${reply.missing.map((i) => i + 1).join(", ")} are missing`);
    this.kept.waiting.push(...lost);
    await this.settled();
    return this.send("complete", {});
  }

  async send(route, row) {
    const address = this.kind === "collector" ? `${this.base}api/${route}` : this.base;
    const body = JSON.stringify({ ...this.ids, version: this.study.version, ...row });
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), 20000);
    try {
      const response = await fetch(address, {
        method: "POST", body, headers: { "content-type": "application/json" }, signal: control.signal, credentials: "omit",
      });
      const reply = await response.json().catch(() => ({}));
      if (!response.ok) throw Object.assign(new Error(reply.error || `status ${response.status}`), { status: response.status });
      return reply;
    } finally {
      clearTimeout(timer);
    }
  }

  async pipe() {
    // A new name for each try: if an earlier one arrived without our knowing, both files are kept and count once.
    const filename = `${this.ids.session}-${Date.now()}.jsonl`;
    const body = JSON.stringify({ experimentID: this.study.endpoint.experiment, filename, data: this.lines() });
    const response = await fetch(this.study.endpoint.url || PIPE, {
      method: "POST", body, headers: { "content-type": "application/json", accept: "*/*" },
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    this.kept.waiting = [];
    this.keep();
  }

  lines() {
    return this.kept.rows.map((row) => JSON.stringify({ ...this.ids, version: this.study.version, ...row })).join("\n") + "\n";
  }

  download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.lines()], { type: "application/jsonl" }));
    link.download = `answers-${this.ids.session}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}
