"use strict";
// Plots, live progress and local times; every page works without it.

(function () {
  const page = document.documentElement;
  const root = () => getComputedStyle(page);
  const colour = (name) => root().getPropertyValue(name).trim();
  const words = read("plot-words") || {};
  const percent = (value) => (100 * value).toFixed(1) + " %";
  const PALETTE = ["#2f6fed", "#e8833a", "#1fa67a", "#b15dd8", "#d64c6f", "#c9a227", "#2fa7c4", "#7c8a3a", "#a0654a", "#6b7cff", "#3f8f5f", "#c05a9b"];

  const SCALE = ["#9aa3b0", "#7d9fe0", "#3f78ea", "#e8a23a", "#e05a33"];

  function read(id) {
    const found = document.getElementById(id);
    return found ? JSON.parse(found.textContent) : null;
  }

  function faint(hex, opacity) {
    const at = (place) => parseInt(hex.slice(place, place + 2), 16);
    return `rgba(${at(1)}, ${at(3)}, ${at(5)}, ${opacity})`;
  }

  function layout(more) {
    const grid = faint("#8a8f98", 0.22);
    const axis = { gridcolor: grid, zeroline: false, linecolor: grid, automargin: true };
    const given = more || {};
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "x unified",
      font: { family: root().fontFamily || "sans-serif", size: 13, color: colour("--soft") },
      hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
      margin: { l: 48, r: 12, t: 8, b: 44 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      ...given, xaxis: { ...axis, ...given.xaxis }, yaxis: { ...axis, ...given.yaxis },
    };
  }

  function draw(place, traces, shape) {
    // a name is read out once: what is inside a drawing is nothing to stop at
    Plotly.react(place, traces, layout(shape), { displayModeBar: false, responsive: true });
  }

  function band(x, low, high, tone, name) {
    const line = { width: 0, color: tone };
    return [
      { x, y: high, mode: "lines", line, hoverinfo: "skip", showlegend: false },
      { x, y: low, mode: "lines", line, fill: "tonexty", fillcolor: faint(tone, 0.18), name, hoverinfo: "skip", showlegend: Boolean(name) },
    ];
  }

  const kinds = {
    curve(place, data) {
      const blue = colour("--plot-1"), orange = colour("--plot-2");
      const points = data.points, x = points.map((p) => p.labelled), last = points[points.length - 1];
      const written = data.correlation ? (value) => value.toFixed(2) : percent, height = data.correlation ? "%{y:.2f}" : "%{y:.1%}";
      const traces = [
        ...band(x, points.map((p) => p.low), points.map((p) => p.high), blue, words.interval),
        { x, y: points.map((p) => p.value), mode: points.length > 40 ? "lines" : "lines+markers", name: words.measured,
          line: { color: blue, width: 2.5 }, customdata: points.map((p) => [written(p.low), written(p.high), p.n]),
          hovertemplate: height + " (%{customdata[0]} – %{customdata[1]}, n = %{customdata[2]})" },
      ];
      const ahead = data.forecast;
      if (ahead && last) {
        const start = data.labelled || last.labelled, at = [last.labelled, ...ahead.more_labels.map((more) => start + more)];
        const from = (values) => [last.value, ...values];
        traces.push(...band(at, from(ahead.low), from(ahead.high), orange));
        traces.push({ x: at, y: from(ahead.value), mode: "lines", name: words.forecast, line: { color: orange, width: 2, dash: "dot" }, hovertemplate: height });
      }
      const shapes = data.target ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.target, y1: data.target, line: { color: colour("--good"), width: 1.5, dash: "dash" } }] : [];
      const annotations = data.target ? [{ xref: "paper", x: 1, y: data.target, xanchor: "right", yanchor: "bottom", showarrow: false, text: words.target, font: { color: colour("--good") } }] : [];
      draw(place, traces, { shapes, annotations, xaxis: { title: { text: words.labels } }, yaxis: { tickformat: data.correlation ? ".1f" : ".0%" } });
    },

    burn(place, data) {
      const blue = colour("--plot-1");
      const traces = [{ x: data.days, y: data.spent, mode: "lines", line: { color: blue, width: 2.5, shape: "hv" }, fill: "tozeroy", fillcolor: faint(blue, 0.12), name: words.spent, hovertemplate: "%{y:,.1f} " + data.unit }];
      if (data.ahead) traces.push({ x: data.ahead.days, y: data.ahead.spent, mode: "lines", line: { color: colour("--plot-2"), width: 2, dash: "dot" }, name: words.pace, hovertemplate: "%{y:,.1f} " + data.unit });
      const shapes = data.limit ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.limit, y1: data.limit, line: { color: colour("--bad"), width: 1.5, dash: "dash" } }] : [];
      const annotations = data.limit ? [{ xref: "paper", x: 1, y: data.limit, xanchor: "right", yanchor: "bottom", showarrow: false, text: words.limit, font: { color: colour("--bad") } }] : [];
      draw(place, traces, { shapes, annotations, yaxis: { rangemode: "tozero", title: { text: data.unit } }, xaxis: { type: "date" } });
    },

    steps(place, data) {
      const traces = data.steps.map((step, number) => ({ type: "bar", x: data.rounds, y: step.seconds, name: step.name, marker: { color: PALETTE[number % PALETTE.length] }, hovertemplate: "%{y:.2f} s" }));
      draw(place, traces, { barmode: "stack", bargap: 0.25, xaxis: { title: { text: words.round }, type: "category", nticks: 20 }, yaxis: { title: { text: words.seconds } } });
    },

    calibration(place, data) {
      const blue = colour("--plot-1"), x = data.map((bin) => bin.said), count = data.map((bin) => bin.n);
      const error = data.every((bin) => bin.low !== undefined && bin.low !== null)
        ? { type: "data", symmetric: false, array: data.map((b) => b.high - b.right), arrayminus: data.map((b) => b.right - b.low), color: faint(blue, 0.6), thickness: 1.5 } : undefined;
      draw(place, [
        { x: [0, 1], y: [0, 1], mode: "lines", line: { color: colour("--soft"), dash: "dot", width: 1.5 }, name: words.perfect, hoverinfo: "skip" },
        { x, y: data.map((bin) => bin.right), mode: "markers+lines", marker: { size: 9, color: blue }, line: { color: blue, width: 1.5 }, error_y: error, customdata: count, name: words.right, hovertemplate: "%{x:.0%} → %{y:.0%} (n = %{customdata})" },
      ], { hovermode: "closest", xaxis: { range: [0, 1.02], tickformat: ".0%", title: { text: words.said } }, yaxis: { range: [0, 1.05], tickformat: ".0%", title: { text: words.right } } });
    },

    map(place, data) {
      const p = data.points, by = place.dataset.colour || "label", text = p.text || p.task_id.map(String);
      const marker = { size: p.x.length > 2000 ? 5 : 7, opacity: 0.8, line: { width: 0 } };
      const common = { type: "scatter", mode: "markers", hovertemplate: "%{text}<extra>%{fullData.name}</extra>" };
      const pick = (rows, values) => rows.map((row) => values[row]);
      let traces;
      if (by === "uncertainty") {
        // in slices, not on a scale: Plotly's colour bar writes styles that the page's policy forbids
        const slice = (value) => (value === null ? -1 : Math.min(SCALE.length - 1, Math.floor(value * SCALE.length)));
        const width = 100 / SCALE.length, rows = SCALE.map(() => []);
        p.uncertainty.forEach((value, row) => { if (slice(value) >= 0) rows[slice(value)].push(row); });
        traces = rows.map((mine, at) => ({
          ...common, x: pick(mine, p.x), y: pick(mine, p.y), text: pick(mine, text), customdata: pick(mine, p.task_id),
          name: `${width * at} – ${width * (at + 1)} %`, marker: { ...marker, color: SCALE[at] },
        }));
      } else {
        const column = by === "origin" ? p.origin : p.label, groups = new Map();
        column.forEach((name, row) => { const key = name === null ? "" : String(name); groups.set(key, [...(groups.get(key) || []), row]); });
        // stars and other numbers, or ranges such as "1 to 2.5", by number; all else the commonest first
        const number = (name) => Number(name.split(" to ")[0]), numbers = [...groups.keys()].every((name) => !Number.isNaN(number(name)));
        const before = (a, b) => (numbers ? number(a) - number(b) : groups.get(b).length - groups.get(a).length);
        const names = [...groups.keys()].sort((a, b) => (a === "" ? -1 : b === "" ? 1 : before(a, b)));
        let used = 0;
        traces = names.map((name) => {
          const rows = groups.get(name), tone = name === "" ? faint("#8a8f98", 0.4) : PALETTE[used++ % PALETTE.length];
          const shown = name === "" ? (by === "origin" ? words.not_queued : words.unlabelled) : (by === "origin" ? (words.origins || {})[name] || name : name);
          return { ...common, x: pick(rows, p.x), y: pick(rows, p.y), text: pick(rows, text), customdata: pick(rows, p.task_id), name: shown, marker: { ...marker, color: tone, size: name === "" ? marker.size - 1 : marker.size + 1 } };
        });
      }
      const hidden = { showgrid: false, showline: false, showticklabels: false, title: { text: "" } };
      draw(place, traces, { hovermode: "closest", dragmode: "pan", xaxis: hidden, yaxis: { ...hidden, scaleanchor: "x" }, margin: { l: 4, r: 4, t: 8, b: 8 } });
    },
  };

  // --- what is on this page ------------------------------------------------------------------------

  async function contents(place) {
    if (!place.dataset.src) return JSON.parse(document.querySelector(`script[data-for="${place.id}"]`).textContent);
    const answer = await fetch(place.dataset.src, { headers: { Accept: "application/json" } });
    return answer.json();
  }

  const known = new Map();

  async function show(place) {
    if (!known.has(place)) known.set(place, contents(place));
    kinds[place.dataset.plot](place, await known.get(place));
  }

  function plots() {
    return window.Plotly ? [...document.querySelectorAll("[data-plot]")] : [];
  }

  function localTimes() {
    const form = new Intl.DateTimeFormat(page.lang, { dateStyle: "medium", timeStyle: "short" });
    document.querySelectorAll("time[datetime]").forEach((each) => {
      each.title = each.textContent;
      each.textContent = form.format(new Date(each.dateTime));
    });
  }

  function colours() {
    document.querySelectorAll("[data-colours]").forEach((box) => box.addEventListener("change", (event) => {
      const place = document.getElementById(box.dataset.colours);
      place.dataset.colour = event.target.value;
      show(place);
    }));
  }

  function live() {
    const head = document.querySelector("[data-project]"), say = read("live-words"), seconds = 5;
    if (!head || !say) return;
    const spot = (name) => document.querySelector(`[data-live="${name}"]`);
    const number = new Intl.NumberFormat(page.lang);
    function progress(found) {
      if (!found) return "";
      const filled = { step: say.steps[found.step] || found.step, done: number.format(found.done), total: number.format(found.total) };
      return say.progress.replace(/\{(\w+)\}/g, (_, name) => filled[name]);
    }
    async function look() {
      if (document.hidden) return;
      const answer = await fetch(head.dataset.project, { headers: { Accept: "application/json" } }).catch(() => null);
      if (!answer || !answer.ok) return;
      const found = await answer.json(), said = progress(found.progress), place = spot("progress"), pill = spot("state");
      if (place && place.textContent !== said) place.textContent = said;
      if (pill && !pill.classList.contains(found.state)) { pill.textContent = say.states[found.state] || found.state; pill.className = "pill " + found.state; }
    }
    setInterval(look, 1000 * seconds);
  }

  function closeMenus(event) {
    document.querySelectorAll("details.sure[open]").forEach((menu) => {
      if (event.type === "keydown" ? event.key === "Escape" : !menu.contains(event.target)) menu.open = false;
    });
  }

  document.addEventListener("keydown", closeMenus);
  document.addEventListener("click", closeMenus);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots().forEach(show));
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;
  localTimes();
  colours();
  live();
  plots().forEach(show);
}());
