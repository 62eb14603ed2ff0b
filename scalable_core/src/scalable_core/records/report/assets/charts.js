"use strict";
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const STATES = ["done", "failed", "failed, tried again"];
  const COLOURS = 6;
  const charts = JSON.parse(document.getElementById("report").textContent).charts;

  /** Make an SVG element; nothing is ever parsed as HTML. */
  function shape(parent, name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return parent.appendChild(element);
  }

  function element(parent, name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return parent.appendChild(made);
  }

  function duration(seconds) {
    if (seconds < 0.001) return (seconds * 1e6).toFixed(0) + " µs";
    if (seconds < 1) return (seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0) + " ms";
    if (seconds < 60) return +seconds.toFixed(seconds < 10 ? 1 : 0) + "s";
    const whole = Math.round(seconds);
    const pad = (n) => String(n).padStart(2, "0");
    if (whole < 3600 && whole % 60 === 0) return whole / 60 + "m";
    if (whole < 3600) return Math.floor(whole / 60) + "m" + pad(whole % 60) + "s";
    return Math.floor(whole / 3600) + "h" + pad(Math.floor((whole % 3600) / 60)) + "m";
  }

  /** Seconds at which an axis has its marks: round numbers, as many as there is room for. */
  function ticks(wall, room) {
    const steps = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
    const step = steps.find((s) => wall / s <= room) || Math.ceil(wall / room / 86400) * 86400;
    const found = [];
    for (let i = 0; i * step <= wall * 0.98; i++) found.push(i * step);
    return found;
  }

  function colour(task) {
    return "var(--t" + (task < 0 || task >= COLOURS ? 6 : task) + ")";
  }

  function addAxis(chart, marks) {
    const axis = element(chart, "div", "axis");
    for (const mark of marks) {
      element(axis, "span", "", mark ? duration(mark) : "0").style.left = (100 * mark) / charts.wall + "%";
    }
  }

  function canvas(parent, width, height, marks) {
    const svg = shape(parent, "svg", { viewBox: `0 0 ${width} ${height}`, height, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const mark of marks) {
      const x = (mark / charts.wall) * width;
      shape(svg, "line", { class: "grid", x1: x, x2: x, y1: 0, y2: height, "vector-effect": "non-scaling-stroke" });
    }
    return svg;
  }

  /** The timeline: one row for each thread, one path for each colour. */
  function drawTimeline(chart) {
    const lanes = charts.lanes;
    const thick = Math.max(2, Math.min(18, Math.floor(460 / lanes.length)));
    const gap = thick > 8 ? 3 : thick > 3 ? 1 : 0;
    const labels = element(chart, "div", "label lanes");
    const place = element(chart, "div");
    const width = place.clientWidth, height = lanes.length * thick;
    const marks = ticks(charts.wall, width / 90);
    const svg = canvas(place, width, height, marks);
    const bars = charts.tasks.map(() => []).concat([[]]), failed = [], retried = [], flags = [];
    let named = -20;
    lanes.forEach((lane, number) => {
      const y = number * thick;
      const bar = thick - gap;
      shape(svg, "rect", { class: "row", x: 0, y, width, height: bar });
      if ((number === 0 || lanes[number - 1].worker !== lane.worker) && y - named >= 14) {
        const label = element(labels, "span", "", lane.worker);
        label.title = lane.worker;
        label.style.top = y + Math.min(bar, 18) / 2 - 8 + "px";
        named = y;
      }
      for (let i = 0; i < lane.from.length; i++) {
        const x = (lane.from[i] / charts.wall) * width;
        const w = Math.max(((lane.to[i] - lane.from[i]) / charts.wall) * width - (thick > 6 ? 0.5 : 0), 0.8);
        const box = `M${x.toFixed(1)} ${y}h${w.toFixed(1)}v${bar}h${-w.toFixed(1)}z`;
        if (lane.state[i] === 0) bars[lane.task[i] < 0 ? charts.tasks.length : lane.task[i]].push(box);
        else (lane.state[i] === 1 ? failed : retried).push(box);
        if (lane.state[i] === 1) flags.push(`M${(x + w).toFixed(1)} ${y}l-3.5 -4h7z`);
      }
    });
    bars.forEach((boxes, task) => {
      if (boxes.length) shape(svg, "path", { d: boxes.join("") }).style.fill = colour(task);
    });
    if (retried.length) shape(svg, "path", { class: "retried", d: retried.join("") });
    if (failed.length) shape(svg, "path", { class: "failed", d: failed.join("") });
    if (flags.length && flags.length < 400) shape(svg, "path", { class: "mark", d: flags.join("") });
    labels.style.height = height + "px";
    addAxis(chart, marks);
    watch(chart, place, thick);
  }

  /** Say what is under the pointer or the finger. */
  function watch(chart, place, thick) {
    let tip = null;
    const hide = () => { if (tip) { tip.remove(); tip = null; } };
    place.addEventListener("pointerleave", hide);
    place.addEventListener("pointermove", (event) => {
      hide();
      const box = place.getBoundingClientRect();
      const lane = charts.lanes[Math.floor((event.clientY - box.top) / thick)];
      if (!lane) return;
      const moment = ((event.clientX - box.left) / box.width) * charts.wall;
      const slack = (3 / box.width) * charts.wall;
      let best = -1, least = slack;
      for (let i = 0; i < lane.from.length; i++) {
        const distance = Math.max(lane.from[i] - moment, moment - lane.to[i], 0);
        if (distance < least || (distance === 0 && best < 0)) { best = i; least = distance; }
      }
      if (best < 0) return;
      const calls = lane.calls[best];
      const name = lane.task[best] < 0 ? "several tasks" : charts.tasks[lane.task[best]];
      tip = element(chart, "div", "tip");
      element(tip, "div", "", calls > 1 ? `${calls} calls of ${name}` : name).style.fontWeight = "600";
      element(tip, "div", "", `${STATES[lane.state[best]]} in ${duration(lane.to[best] - lane.from[best])}, from ${duration(lane.from[best])} on ${lane.worker}`);
      const outer = chart.getBoundingClientRect();
      const x = event.clientX - outer.left;
      tip.style.left = Math.max(0, Math.min(x - tip.offsetWidth / 2, outer.width - tip.offsetWidth)) + "px";
      tip.style.top = event.clientY - outer.top - tip.offsetHeight - 14 + "px";
    });
  }

  /** A curve over the whole run as a path, and the area below it. */
  function curve(values, width, height, top) {
    const step = width / values.length;
    let line = "";
    values.forEach((value, i) => {
      const y = (height - (value / top) * height).toFixed(1);
      line += `${line ? "L" : "M"}${(i * step).toFixed(1)} ${y}L${((i + 1) * step).toFixed(1)} ${y}`;
    });
    return line;
  }

  function drawCurve(chart, title, values, limit) {
    const height = 72;
    const peak = Math.max(...values);
    const top = Math.max(peak, ...(limit || [0]), 1);
    const label = element(chart, "div", "label");
    element(label, "b", "", title);
    element(label, "span", "", (limit ? "of " + Math.round(Math.max(...limit)) + " threads" : "at most " + Math.round(peak)));
    const place = element(chart, "div");
    const width = place.clientWidth;
    const marks = ticks(charts.wall, width / 90);
    const svg = canvas(place, width, height, marks);
    shape(svg, "line", { class: "grid", x1: 0, x2: width, y1: height, y2: height });
    const line = curve(values, width, height, top);
    shape(svg, "path", { class: "area", d: `${line}V${height}H0z` });
    shape(svg, "path", { class: "curve", d: line });
    if (limit) shape(svg, "path", { class: "limit", d: curve(limit, width, height, top) });
    return marks;
  }

  function drawBusy(chart) {
    drawCurve(chart, "waiting", charts.busy.waiting);
    element(chart, "div", "gap");
    addAxis(chart, drawCurve(chart, "running", charts.busy.running, charts.busy.threads));
  }

  /** Memory of one worker over the run; the dashed line is its limit. */
  function drawMemory(svg) {
    const own = charts.memory[svg.dataset.worker];
    svg.replaceChildren();
    if (!own || own.time.length < 2) return;
    const width = svg.clientWidth, height = 30;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const points = own.time.map((t, i) => `${((t / charts.wall) * width).toFixed(1)} ${(height - Math.min(own.part[i], 1.05) * (height - 3)).toFixed(1)}`);
    const first = points[0].split(" ")[0], last = points[points.length - 1].split(" ")[0];
    shape(svg, "path", { class: "area", d: `M${first} ${height}L${points.join("L")}L${last} ${height}z` });
    shape(svg, "path", { class: "curve", d: `M${points.join("L")}` });
    if (svg.dataset.limited) shape(svg, "line", { class: "limit", x1: 0, x2: width, y1: 3, y2: 3 });
  }

  const drawers = { timeline: drawTimeline, busy: drawBusy };
  function draw() {
    for (const chart of document.querySelectorAll("[data-chart]")) {
      chart.replaceChildren();
      drawers[chart.dataset.chart](chart);
    }
    document.querySelectorAll("[data-worker]").forEach(drawMemory);
  }

  let known = document.body.clientWidth;
  draw();
  new ResizeObserver(() => {
    const width = document.body.clientWidth;
    if (width !== known) { known = width; draw(); }
  }).observe(document.body);
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
})();
