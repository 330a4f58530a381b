// The formulas of snippets/memory/plan.py, for the page; tests/site/test_fit_page.py
// holds both against each other in a browser.
(() => {
  "use strict";
  const D = window.handbookFit;
  const GIB = 1024 ** 3;
  const sum = (list) => list.reduce((total, one) => total + one, 0);

  // ------------------------------------------------------------ shapes
  function geometry(given) {
    const config = given.text_config || given;
    const family = config.model_type || "(none)";
    const experts = D.experts.map((key) => config[key]).find(Boolean);
    if (experts) {
      throw Error(`This model has ${experts} experts. Mixtures of experts are not ` +
        "described here: take a dense model.");
    }
    if (!D.families.includes(family)) {
      throw Error(`Model type "${family}" is not described here. Use one of ` +
        `${D.families.join(", ")}.`);
    }
    const missing = D.needed.filter((key) => !config[key]);
    if (missing.length) {
      throw Error(`The configuration has no ${missing.join(", ")}. Paste a whole ` +
        "config.json.");
    }
    const hidden = config.hidden_size, heads = config.num_attention_heads;
    const head = config.head_dim ?? D.headDim[family] ?? Math.floor(hidden / heads);
    const gemma = D.gemma.includes(family);
    const g = {
      hidden, head, layers: config.num_hidden_layers, inner: config.intermediate_size,
      attention: heads * head,
      keyValue: (config.num_key_value_heads ?? heads) * head,
      vocabulary: config.vocab_size,
      tied: Boolean(config.tie_word_embeddings ?? gemma),
      headNorms: family === "qwen3" || family === "gemma3_text",
      norms: gemma ? 4 : 2,
    };
    const qwen2 = family === "qwen2", biased = qwen2 || Boolean(config.attention_bias);
    const mlp = Boolean(config.mlp_bias);
    g.linears = [
      [hidden, g.attention, biased], [hidden, g.keyValue, biased],
      [hidden, g.keyValue, biased], [g.attention, hidden, biased && !qwen2],
      [hidden, g.inner, mlp], [hidden, g.inner, mlp], [g.inner, hidden, mlp],
    ].map(([from, to, bias]) => ({from, to, bias, weights: from * to}));
    g.linearParameters = g.layers * sum(g.linears.map((one) => one.weights));
    g.embedding = g.vocabulary * hidden * (g.tied ? 1 : 2);
    const biases = sum(g.linears.map((one) => (one.bias ? one.to : 0)));
    const norms = g.norms * hidden + (g.headNorms ? 2 * head : 0);
    g.small = g.layers * (biases + norms) + hidden;
    g.parameters = g.linearParameters + g.embedding + g.small;
    return g;
  }

  // ------------------------------------------------------------ states
  function nf4(weights) {
    const scales = Math.ceil(weights / 64);
    const tables = 4 * (16 + 256 + 1);
    return Math.floor(weights / 2) + scales + 4 * Math.ceil(scales / 256) + tables;
  }

  const nf4Bytes = (g) => g.layers * sum(g.linears.map((one) => nf4(one.weights)));

  function unfrozen(linear, share) {
    const rank = Math.min(linear.from, linear.to);
    return rank - Math.min(Math.floor(rank * (1 - share)), rank - 1);
  }

  function osft(g, share) {
    const each = (one) => one.from + one.to + 1;
    const stored = g.linears.map((one) => Math.min(one.from, one.to) * each(one));
    const trained = g.linears.map((one) => unfrozen(one, share) * each(one));
    return [g.layers * sum(stored), g.layers * sum(trained)];
  }

  function parameters(g, s) {
    if (s.method === "full") return [g.parameters, g.parameters];
    if (s.method === "osft") {
      const [stored, free] = osft(g, s.unfreeze);
      return [g.embedding + g.small + stored, g.embedding + g.small + free];
    }
    const sides = sum(g.linears.map((one) => one.from + one.to));
    return [g.parameters, g.layers * s.r * sides];
  }

  function counted(g, s) {
    const wide = s.precision === "fp32-master" ? 4 : 2;
    const state = D.optimizers[s.optimizer] ?? 2 * wide;
    const [stored, trained] = parameters(g, s);
    let weights = stored * wide;
    if (s.method === "lora") weights = stored * s.compute_bytes;
    if (s.method === "qlora") {
      const width = s.wide_rest ? 4 : s.compute_bytes;
      weights = nf4Bytes(g) + (g.embedding + g.small) * width;
    }
    const adapted = s.method === "lora" || s.method === "qlora";
    return {
      weights, adapters: adapted ? wide * trained : 0, gradients: wide * trained,
      optimizer: Math.ceil(state * trained),
    };
  }

  // ------------------------------------------------------------ moments
  function layerBytes(g, s) {
    const c = s.compute_bytes, adapted = s.method === "lora" || s.method === "qlora";
    const heads = Math.floor(g.attention / g.head), gemma = g.norms > 2;
    let kept = 4 * g.norms * g.hidden + c * (2 * g.attention + 2 * g.keyValue) +
      3 * c * g.inner + 4 * (g.norms + heads);
    if (g.headNorms) {
      kept += (4 + (adapted ? 0 : gemma ? 4 : c)) * (g.attention + g.keyValue);
      kept += 4 * (heads + Math.floor(g.keyValue / g.head));
    }
    if (!adapted) {
      const scales = gemma ? (4 * g.norms - 2 * c) * g.hidden : 0;
      return kept + 4 * c * g.hidden + c * g.inner + scales;
    }
    const inputs = c < 4
      ? g.linears.map((one) => 4 * one.from)
      : [4 * g.hidden, 4 * g.hidden, 4 * g.inner]; // attention, mlp, down_proj
    return kept + sum(inputs) + 4 * s.r * g.linears.length;
  }

  const autocast = (s) => s.method === "full" && s.precision === "fp32-master" &&
    s.compute_bytes < 4 && s.sharding === "ddp";

  function activations(g, s) {
    const tokens = s.micro_batch * s.seq_len, c = s.compute_bytes;
    let each = layerBytes(g, s);
    if (s.method === "osft") {
      each += 2 * c * sum(g.linears.map((one) => unfrozen(one, s.unfreeze)));
    }
    if (!s.checkpointing) return [tokens * g.layers * each, 0];
    const adapted = s.method === "lora" || s.method === "qlora";
    each += adapted ? 12 * g.inner : 2 * c * g.inner;
    const stream = autocast(s) || s.wide_rest ? 4 : c;
    return [tokens * g.layers * g.hidden * stream, tokens * each];
  }

  function moments(g, s, layer) {
    const tokens = s.micro_batch * s.seq_len;
    const atOnce = Math.min(tokens, s.loss_chunk || tokens);
    const softcap = g.norms > 2 && !g.headNorms ? D.softcapBytes : 0;
    const wide = s.precision === "fp32-master" ? 4 : 2;
    const largest = Math.max(...g.linears.map((one) => one.weights));
    const all = (s.method === "full" || s.method === "osft") && s.sharding !== "fsdp";
    return [
      {logits: atOnce * g.vocabulary * (D.lossBytes + softcap),
        copies: autocast(s)
          ? s.compute_bytes * (g.linearParameters + g.vocabulary * g.hidden) : 0},
      {layer: layer + (s.method === "qlora" ? s.compute_bytes * largest : 0)},
      {gradient: all ? (g.tied ? 3 : 1) * wide * g.vocabulary * g.hidden : 0},
    ];
  }

  function communication(g, s, sizes) {
    if (s.gpus === 1) return 0;
    if (s.sharding === "ddp") return sizes.gradients;
    const c = s.compute_bytes, root = c * g.embedding;
    const each = s.method === "osft" ? osft(g, s.unfreeze)[0] : g.linearParameters;
    const layer = s.method === "qlora"
      ? Math.floor(nf4Bytes(g) / g.layers) : c * Math.floor(each / g.layers);
    if (s.method === "lora" || s.method === "qlora") return root + 2 * layer;
    return root + 2 * layer + 4 * Math.max(Math.floor(layer / c), g.embedding);
  }

  // ------------------------------------------------------------ plan
  function plan(g, s) {
    const sizes = counted(g, s), share = s.sharding === "fsdp" ? s.gpus : 1;
    const [kept, layer] = activations(g, s);
    const total = (parts) => sum(Object.values(parts));
    const largest = moments(g, s, layer)
      .reduce((best, one) => (total(one) > total(best) ? one : best));
    const parts = Object.fromEntries(Object.entries(sizes)
      .map(([name, size]) => [name, Math.ceil(size / share)]));
    const host = s.optimizer.startsWith("paged") ? parts.optimizer : 0;
    parts.optimizer -= host;
    const exact = total(parts);
    Object.assign(parts, {
      communication: communication(g, s, sizes), activations: kept, logits: 0, copies: 0,
      layer: 0, gradient: 0, ...largest, context: D.contextGib[1] * GIB,
    });
    const rest = total(parts) - exact - parts.context;
    const bound = (side, context) =>
      exact * D.exact[side] + rest * D.modelled[side] + context * GIB;
    return {
      parts, host, total: total(parts),
      low: Math.floor(bound(0, D.contextGib[0])),
      high: Math.ceil(bound(1, D.contextGib[2])),
    };
  }

  function fits(needed, gib) {
    if (needed.high <= gib * GIB) return "yes";
    return needed.low > gib * GIB ? "no" : "too close to call";
  }

  Object.assign(D, {geometry, plan, fits});
})();
