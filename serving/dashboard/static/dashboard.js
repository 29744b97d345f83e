/* Live parts of every page: news by push. What is pushed is provisional, and only ever put where a page marks it so. */
"use strict";
(() => {
  const symbols = {degc: "°C", pct: "%", kpa: "kPa", hpa: "hPa", v: "V", a: "A", w: "W", kwh: "kWh", mm_s: "mm/s", m_s: "m/s", 1: ""};
  const symbol = unit => symbols[unit] ?? unit;
  const figure = value => {
    if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
    const size = Math.abs(value);
    if (size && (size < 0.001 || size >= 1e9)) return value.toPrecision(3);
    const digits = size >= 10000 ? 0 : size >= 100 ? 1 : 2;
    return value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
  };
  const hearers = [];
  window.lakehouse = {figure, symbol, hear: hearer => hearers.push(hearer)};

  const places = new Map();
  const keyOf = (device, metric, unit) => JSON.stringify([device, metric, unit]);
  for (const place of document.querySelectorAll("span.hot[data-device]")) {
    places.set(keyOf(place.dataset.device, place.dataset.metric, place.dataset.unit), place);
  }
  function onLatest(value) {
    const place = places.get(keyOf(value.device_id, value.metric_name, value.unit));
    if (place) {
      place.textContent = `${figure(value.value)} ${symbol(value.unit)}`.trim();
      place.classList.remove("fresh");
      void place.offsetWidth;
      place.classList.add("fresh");
    }
    for (const hearer of hearers) hearer(value);
  }
  function onPublication(news) {
    const shown = Number(document.getElementById("publication")?.dataset.number);
    if (!(news.publication_id > shown)) return;
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = `Publication ${news.publication_id} is out: show it`;
    document.getElementById("news").replaceChildren(link);
  }
  let asked = 0;
  async function refresh(region) {
    const mine = ++asked;
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
    if (!answer.ok || mine !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(region.id);
    if (fresh) region.replaceChildren(...fresh.childNodes);
  }
  const region = document.querySelector("[data-follows]");
  let waiting = null;
  function onAlert() {
    if (region && waiting === null) waiting = setTimeout(() => { waiting = null; refresh(region); }, 200);
  }

  const connection = new signalR.HubConnectionBuilder().withUrl("/push")
    .withAutomaticReconnect({nextRetryDelayInMilliseconds: () => 2000}).configureLogging(signalR.LogLevel.None).build();
  const last = {};
  const heard = {latest: onLatest, alerts: onAlert, publications: onPublication};
  for (const [stream, hearer] of Object.entries(heard)) {
    connection.on(stream, (number, body) => { last[stream] = number; hearer(body); });
  }
  const chart = document.getElementById("chart");
  const wanted = {publications: {since: 0}};
  if (places.size || chart) wanted.latest = chart ? {device_id: chart.dataset.device} : {};
  if (region) wanted.alerts = {};
  const live = document.getElementById("live");
  const says = text => { if (live && live.textContent !== text) live.textContent = text; };
  async function subscribe() {
    for (const [stream, options] of Object.entries(wanted)) {
      await connection.invoke("Subscribe", stream, stream in last ? {...options, since: last[stream]} : options);
    }
    document.documentElement.dataset.live = "yes";
    says("live: values of the last seconds, provisional");
  }
  connection.onreconnecting(() => { document.documentElement.dataset.live = "no"; says("cut off, trying again"); });
  connection.onreconnected(subscribe);
  const begin = () => connection.start().then(subscribe).catch(() => { says("cut off, trying again"); setTimeout(begin, 2000); });
  begin();
})();
