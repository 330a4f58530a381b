// Fills the calculator of docs/how-to/calculator.md; the numbers come from fit.js.
(() => {
  "use strict";
  const D = window.handbookFit, GIB = 1024 ** 3;
  const form = document.getElementById("fit-form");
  if (!form) return;
  const field = (name) => form.elements.namedItem(name);
  const place = (name) => document.getElementById(`fit-${name}`);
  const SAID = {
    weights: "weights", adapters: "adapters", gradients: "gradients",
    optimizer: "optimizer", communication: "between GPUs", activations: "activations",
    logits: "logits", copies: "16-bit copies", layer: "one layer",
    gradient: "embedding gradient", context: "CUDA context",
  };

  function inUnits(size) {
    const units = {GiB: GIB, MiB: 1024 ** 2, KiB: 1024, bytes: 1};
    const unit = Object.keys(units).find((name) => size >= units[name]) || "bytes";
    const value = size / units[unit];
    const said = value >= 1000
      ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
    return `${said} ${unit}`;
  }

  function whole(name, least) {
    const value = Number(field(name).value);
    if (!Number.isInteger(value) || value < least) {
      throw Error(`"${field(name).labels[0].textContent.trim()}" must be a whole ` +
        `number, ${least} or more.`);
    }
    return value;
  }

  function model() {
    const name = field("model").value;
    place("paste").hidden = name !== "paste";
    if (name !== "paste") return D.geometry(D.shapes[name]);
    const text = field("config").value.trim();
    if (!text) throw Error("Paste the content of a config.json.");
    let config;
    try {
      config = JSON.parse(text);
    } catch {
      throw Error("This is not JSON. Paste the whole content of a config.json.");
    }
    return D.geometry(Object(config));
  }

  function settings() {
    const gib = Number(field("gpu").value), unfreeze = Number(field("unfreeze").value);
    if (!(gib > 0)) throw Error("\"Memory of one GPU\" must be a number above 0.");
    if (!(unfreeze > 0 && unfreeze <= 1)) {
      throw Error("\"Share OSFT trains\" must lie above 0 and at most at 1.");
    }
    return {
      gib, method: field("method").value,
      seq_len: whole("seq_len", 1), micro_batch: whole("micro_batch", 1),
      gpus: whole("gpus", 1), sharding: field("sharding").value,
      checkpointing: field("checkpointing").checked,
      loss_chunk: field("loss_chunk").checked ? 256 : 0,
      optimizer: field("optimizer").value, precision: field("precision").value,
      compute_bytes: 2, r: whole("r", 1), unfreeze,
      wide_rest: field("wide_rest").checked,
    };
  }

  // The first of these that surely fits, then the first that may, then the smallest.
  function suggested(g, asked) {
    const tried = ["full", "qlora"].map((method) => ({...asked, method}));
    for (const verdict of ["yes", "too close to call"]) {
      const found = tried.find((s) => D.fits(D.plan(g, s), s.gib) === verdict);
      if (found) return found;
    }
    return tried[1];
  }

  function element(tag, text, kind) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function showVerdict(g, s, needed) {
    const verdict = D.fits(needed, s.gib);
    const said = {
      yes: "It fits.", no: "It does not fit.",
      "too close to call": "Too close to call.",
    }[verdict];
    const names = {full: "Full fine-tuning", lora: "LoRA", qlora: "QLoRA", osft: "OSFT"};
    place("verdict").className = `fit-verdict fit-${verdict.split(" ")[0]}`;
    place("verdict").replaceChildren(
      element("strong", said),
      ` ${names[s.method]} of ${(g.parameters / 1e9).toPrecision(3)} B parameters needs ` +
      `about ${inUnits(needed.total)} on each GPU, between ${inUnits(needed.low)} and ` +
      `${inUnits(needed.high)}; you have ${s.gib} GiB.`);
  }

  function showParts(s, needed) {
    const scale = Math.max(needed.high, s.gib * GIB);
    const used = Object.entries(needed.parts).filter(([, size]) => size);
    const names = Object.keys(SAID);
    place("bar").replaceChildren(...used.map(([name, size]) => {
      const piece = element("span", undefined, `fit-hue-${names.indexOf(name)}`);
      piece.style.width = `${100 * size / scale}%`;
      piece.title = `${SAID[name]} ${inUnits(size)}`;
      return piece;
    }));
    place("mark").style.left = `${100 * s.gib * GIB / scale}%`;
    place("chart").setAttribute("aria-label", used
      .map(([name, size]) => `${SAID[name]} ${inUnits(size)}`).join(", "));
    const rows = used.map(([name, size]) => [name, SAID[name], size]);
    rows.push(["", "total", needed.total]);
    if (needed.host) rows.push(["", "in main memory", needed.host]);
    place("rows").replaceChildren(...rows.map(([name, said, size]) => {
      const row = element("tr"), head = element("th");
      head.scope = "row";
      if (name) head.append(element("i", undefined, `fit-hue-${names.indexOf(name)}`));
      head.append(said);
      row.append(head, element("td", inUnits(size)));
      return row;
    }));
  }

  function rungs(s) {
    const half = Math.floor(s.seq_len / 2);
    return [
      [s.micro_batch > 1, "one row in a pass", {micro_batch: 1}],
      [!s.loss_chunk, "the loss in chunks", {loss_chunk: 256}],
      [!s.checkpointing, "checkpointing", {checkpointing: true}],
      [half >= 256, `rows of ${half} tokens`, {seq_len: half}],
      [s.method !== "qlora", "QLoRA", {method: "qlora"}],
      [D.optimizers[s.optimizer] === null, "an 8-bit optimizer",
        {optimizer: s.optimizer.replace("adamw", "adamw-8bit")}],
      [s.method.endsWith("lora") && s.r > 8, "r = 8", {r: 8}],
      [s.gpus > 1 && s.sharding === "ddp", "FSDP instead of DDP", {sharding: "fsdp"}],
    ].filter(([open]) => open);
  }

  function showLadder(g, s, needed) {
    const lines = rungs(s)
      .map(([, said, change]) => [said, needed.total - D.plan(g, {...s, ...change}).total])
      .filter(([, saved]) => saved > 0.005 * GIB);
    place("ladder").replaceChildren(...lines
      .map(([said, saved]) => element("li", `${said} saves ${inUnits(saved)}`)));
    place("smaller").hidden = !lines.length;
  }

  function assignments(s, documents) {
    const python = (value) => (value === true ? "True" : value === false ? "False" : value);
    const values = {
      [documents ? "block_size" : "max_seq_len"]: s.seq_len,
      micro_batch_size: s.micro_batch, gradient_checkpointing: s.checkpointing,
    };
    if (s.method.endsWith("lora")) values.lora_r = s.r;
    if (s.method === "osft") values.unfreeze_rank_ratio = s.unfreeze;
    return Object.entries(values).map(([name, value]) => `${name} = ${python(value)}`);
  }

  function showNotebook(s) {
    const documents = field("data").value === "documents";
    const wanted = s.method === "full" ? (documents ? "cpt" : "sft") : s.method;
    const row = document.querySelector(`.fit-where .fit-${wanted}`);
    const link = row && (row.matches("a") ? row : row.querySelector("a"));
    const found = element("a", link ? link.textContent : "what stands below");
    found.href = link ? link.href : "#the-notebook-for-each-method";
    place("notebook").replaceChildren("Start with ", found,
      ". Set, beside your model and your data:");
    const lines = assignments(s, documents && s.method === "full");
    place("settings").textContent = lines.join("\n");
  }

  function show() {
    try {
      const g = model(), asked = settings();
      const s = asked.method === "suggest" ? suggested(g, asked) : asked;
      const needed = D.plan(g, s);
      showVerdict(g, s, needed);
      showParts(s, needed);
      showLadder(g, s, needed);
      showNotebook(s);
      place("result").hidden = false;
    } catch (problem) {
      place("result").hidden = true;
      place("verdict").className = "fit-verdict fit-no";
      place("verdict").textContent = problem.message;
    }
  }

  const names = Object.keys(D.shapes);
  field("model").replaceChildren(...names.map((name) => new Option(name, name)),
    new Option("another: paste its config.json", "paste"));
  field("model").value = "Qwen2.5-7B";
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
