/* The chart of a device's page: published figures from a year to single readings, and the hot line beside. */
"use strict";
(() => {
  const box = document.getElementById("chart");
  if (!box) return;
  const {figure, hear} = window.lakehouse;
  const {device, metric, unit, symbol} = box.dataset;
  const end = Date.parse(box.dataset.end) / 1000;
  const interval = Number(box.dataset.interval);
  const isHot = box.dataset.hot === "yes";
  const says = document.getElementById("chart-says");
  const grain = document.getElementById("grain");
  const chosenBox = document.getElementById("figure");
  // the length of a point in seconds, how the API calls it, and the table whose row it is
  const grains = [[60, "1m", "minutes", "device_minutes"], [300, "5m", "5 minutes"], [900, "15m", "15 minutes"], [3600, "1h", "hours", "device_hours"],
    [21600, "6h", "6 hours"], [86400, "1d", "days", "device_days"], [604800, "7d", "weeks"]];
  const most = 1500;
  const shortest = 10, longest = 5 * 365 * 86400;
  const iso = seconds => new Date(seconds * 1000).toISOString();
  const shownAt = seconds => iso(seconds).replace("T", " ").replace(/(:00)?\.000Z/, "").replace("Z", "") + " UTC";

  let from = end - 86400, until = end;
  let gold = {at: [], mean: [], least: [], most: [], table: null, length: 0, name: ""};
  let hot = {at: [], value: []};
  let plot = null, chosen = null, asked = 0, follows = false;
  const liveValues = [];

  async function rows(path, parameters) {
    const query = new URLSearchParams({device_id: device, metric_name: metric, unit, ...parameters});
    const answer = await fetch(`${path}?${query}`);
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || answer.statusText);
    return (await answer.json()).data;
  }

  async function published() {
    const span = until - from;
    if (span <= 1800) return readings();
    const [length, every, name, table] = grains.find(([seconds]) => span / seconds <= most) || grains[grains.length - 1];
    const first = Math.floor(from / length) * length, last = Math.ceil(until / length) * length;
    const wanted = {start: iso(first), end: iso(last), every};
    const [mean, least, greatest] = await Promise.all(["mean", "min", "max"].map(aggregate => rows("/v1/series", {...wanted, aggregate})));
    return {at: mean.map(row => Date.parse(row.period_at) / 1000), mean: mean.map(row => row.value), least: least.map(row => row.value),
      most: greatest.map(row => row.value), table, length, name};
  }

  async function readings() {
    const found = await rows("/v1/readings", {start: iso(from), end: iso(until)});
    const made = {at: [], mean: [], least: [], most: [], table: "device_minutes", length: 0, name: "single readings"};
    const add = (at, value) => { made.at.push(at); for (const name of ["mean", "least", "most"]) made[name].push(value); };
    for (const row of found) {
      const at = Date.parse(row.event_at) / 1000;
      const before = made.at[made.at.length - 1];
      // nothing for three intervals is a gap
      if (before !== undefined && at - before > 3 * interval) add((at + before) / 2, null);
      if (at === before) { made.mean[made.mean.length - 1] = row.value; continue; }
      add(at, row.value);
    }
    return made;
  }

  async function hotMinutes() {
    // of a series that the hot path never told there is nothing to ask
    if (!isHot || (box.dataset.told === "no" && !liveValues.length)) return {at: [], value: []};
    const found = await rows("/v1/hot/minutes", {}).catch(() => []);
    const points = new Map(found.map(row => [Date.parse(row.minute_at) / 1000, row.value_mean]));
    for (const [at, value] of liveValues) points.set(at, value);
    const at = [...points.keys()].sort((a, b) => a - b);
    return {at, value: at.map(each => points.get(each))};
  }

  function joined() {
    const hotInside = hot.at.map((at, place) => [at, hot.value[place]]).filter(([at]) => at >= from && at <= until);
    const made = [];
    const add = (at, value) => made.push([at, value]);
    hotInside.forEach(([at, value], place) => {
      const before = place ? hotInside[place - 1][0] : null;
      if (before !== null && at - before > 3 * Math.max(interval, 60)) add((at + before) / 2, null);
      add(at, value);
    });
    return uPlot.join([[gold.at, gold.least, gold.most, gold.mean], [made.map(each => each[0]), made.map(each => each[1])]], [[2, 2, 2], [2]]);
  }

  // how moments are written at ticks so many seconds apart, with the day or year where it changes
  const moments = [
    [28 * 86400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", null, null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{ss} s", null, null, "\n{D} {MMM} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
  ];
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function options() {
    const axis = {stroke: colour("--dim"), grid: {stroke: colour("--grid"), width: 1}, ticks: {stroke: colour("--grid"), width: 1}};
    const line = gold.length === 0;
    return {
      width: box.clientWidth - 10, height: Math.max(260, Math.min(380, Math.round(box.clientWidth * 0.45))),
      tzDate: at => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      legend: {show: false},
      cursor: {drag: {x: true, y: false, setScale: false}, points: {size: 8}},
      scales: {x: {time: true, range: () => [from, until]}},
      axes: [{...axis, values: moments, space: 60}, {...axis, size: 62, values: (_, ticks) => ticks.map(each => figure(each))}],
      series: [
        {},
        {label: "least", stroke: "transparent", points: {show: false}},
        {label: "greatest", stroke: "transparent", points: {show: false}},
        {label: "published", stroke: colour("--gold"), width: 2, spanGaps: false, points: {show: line || undefined, size: 5, fill: colour("--gold")}},
        {label: "hot", stroke: colour("--hot"), width: 2, dash: [6, 4], spanGaps: false, points: {show: true, size: 5, fill: colour("--panel")}},
      ],
      bands: [{series: [2, 1], fill: colour("--gold-band")}],
      hooks: {
        drawClear: [drawGaps],
        setSelect: [u => { if (u.select.width > 4) look(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")); u.setSelect({left: 0, width: 0, top: 0, height: 0}, false); }],
      },
    };
  }

  // where nothing is published the ground is hatched, so that a gap is seen as one
  function drawGaps(u) {
    const {ctx, bbox} = u;
    ctx.save();
    ctx.beginPath();
    for (const [start, stop] of gaps()) {
      const left = u.valToPos(Math.max(start, from), "x", true), right = u.valToPos(Math.min(stop, until), "x", true);
      if (right > left) ctx.rect(left, bbox.top, right - left, bbox.height);
    }
    ctx.clip();
    ctx.strokeStyle = colour("--line");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let x = bbox.left - bbox.height; x < bbox.left + bbox.width; x += 7 * devicePixelRatio) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }

  function gaps() {
    const found = [];
    const measured = gold.at.filter((_, place) => gold.mean[place] !== null);
    if (gold.length) {
      let begun = null;
      gold.at.forEach((at, place) => {
        if (gold.mean[place] === null && begun === null) begun = at;
        if (gold.mean[place] !== null && begun !== null) { found.push([begun, at]); begun = null; }
      });
      if (begun !== null) found.push([begun, until]);
      return found;
    }
    let before = from;
    for (const at of [...measured, until]) {
      if (at - before > 3 * interval) found.push([before, at]);
      before = at;
    }
    return found;
  }

  function draw() {
    const data = joined();
    if (plot) plot.destroy();
    plot = new uPlot(options(), data, box);
    plot.over.addEventListener("click", () => { if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) choose(plot.cursor.idx); });
    plot.over.addEventListener("dblclick", () => zoom(2));
  }

  function describe() {
    const values = gold.mean.filter(value => value !== null);
    const counted = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;
    const told = hot.at.filter(at => at >= from && at <= until).length;
    grain.textContent = gold.length ? `means of ${gold.name}, with least and greatest` : "single readings";
    const range = values.length ? `from ${figure(Math.min(...values))} to ${figure(Math.max(...values))} ${symbol}` : "no figure";
    says.textContent = `${shownAt(Math.floor(from))} to ${shownAt(Math.ceil(until))}: ${counted(values.length, "published figure")}, ${range}, ${counted(gaps().length, "gap")}`
      + (isHot ? `; ${counted(told, "hot value")}, provisional.` : ".");
  }

  async function look(start, stop) {
    const middle = (start + stop) / 2, half = Math.min(Math.max(stop - start, shortest), longest) / 2;
    from = middle - half; until = middle + half;
    chosen = null; chosenBox.hidden = true;
    for (const button of document.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(Math.abs(until - from - button.dataset.span) < 1));
    const mine = ++asked;
    box.setAttribute("aria-busy", "true");
    try {
      const [found, told] = await Promise.all([published(), hotMinutes()]);
      if (mine !== asked) return;
      gold = found; hot = told;
      draw();
      describe();
    } catch (error) {
      if (mine === asked) says.textContent = `The figures could not be asked: ${error.message}`;
    } finally {
      if (mine === asked) box.removeAttribute("aria-busy");
    }
  }
  const zoom = factor => {
    const half = (until - from) * factor / 2, middle = chosen === null ? (from + until) / 2 : plot.data[0][chosen];
    return look(middle - half, middle + half);
  };
  const move = part => look(from + part * (until - from) / 2, until + part * (until - from) / 2);

  function choose(place) {
    const at = plot.data[0][place], value = plot.data[3][place], told = plot.data[4][place];
    chosen = place;
    chosenBox.hidden = false;
    const [text, link] = chosenBox.children;
    const isGold = value !== null && value !== undefined, isTold = told !== null && told !== undefined;
    chosenBox.classList.toggle("is-hot", !isGold && isTold);
    link.hidden = !isGold;
    if (!isGold) {
      text.textContent = isTold ? `Hot, provisional: ${figure(told)} ${symbol} at ${shownAt(at)}` : `Nothing published at ${shownAt(at)}`;
      return;
    }
    text.textContent = `Published: ${figure(value)} ${symbol} at ${shownAt(at)}`;
    const start = gold.length ? at : Math.floor(at / 60) * 60;
    if (gold.table) {
      link.textContent = "Where does it come from?";
      link.href = `/trace?${new URLSearchParams({table: gold.table, device_id: device, metric_name: metric, unit, at: iso(start)})}`;
      link.onclick = null;
    } else {
      link.textContent = "Zoom in to what it is made of";
      link.href = "#chart";
      link.onclick = event => { event.preventDefault(); look(at - gold.length, at + 2 * gold.length); };
    }
  }

  function step(direction) {
    if (!plot || !plot.data[0].length) return;
    const shown = plot.data[0].map((at, place) => [at, place]).filter(([at]) => at >= from && at <= until).map(([, place]) => place);
    if (!shown.length) return;
    const now = shown.indexOf(chosen);
    const next = now < 0 ? (direction > 0 ? 0 : shown.length - 1) : Math.min(Math.max(now + direction, 0), shown.length - 1);
    choose(shown[next]);
    plot.setCursor({left: plot.valToPos(plot.data[0][shown[next]], "x"), top: plot.over.clientHeight / 2});
  }
  box.addEventListener("keydown", event => {
    const act = {ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => zoom(0.5), "-": () => zoom(2), Enter: () => { if (!chosenBox.hidden && !chosenBox.children[1].hidden) chosenBox.children[1].click(); }}[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  for (const button of document.querySelectorAll(".tools button")) {
    button.addEventListener("click", () => {
      const {span, zoom: factor, move: part} = button.dataset;
      follows = "now" in button.dataset;
      if (span) look(until - Number(span), until);
      else if (factor) zoom(Number(factor));
      else if (part) move(Number(part));
      else look(Date.now() / 1000 - (until - from), Date.now() / 1000);
    });
  }
  hear(value => {
    if (value.device_id !== device || value.metric_name !== metric || value.unit !== unit || typeof value.value !== "number") return;
    const at = Date.parse(value.event_at) / 1000;
    liveValues.push([at, value.value]);
    if (liveValues.length > 2000) liveValues.shift();
    const place = hot.at.findIndex(each => each >= at);
    if (place < 0) { hot.at.push(at); hot.value.push(value.value); }
    else if (hot.at[place] === at) hot.value[place] = value.value;
    else { hot.at.splice(place, 0, at); hot.value.splice(place, 0, value.value); }
    if (follows) { const span = until - from; until = Math.max(until, at); from = until - span; }
    if (plot && at >= from && at <= until) { plot.setData(joined()); describe(); }
  });
  let resized = null;
  new ResizeObserver(() => { clearTimeout(resized); resized = setTimeout(() => { if (plot && plot.width !== box.clientWidth - 10) draw(); }, 100); }).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plot) draw(); });
  look(from, until);
})();
