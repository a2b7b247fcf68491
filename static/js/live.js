/* Keeps marked figures alive: <b data-live="equity">. Messages come as server-sent events; where they
   do not come, the page stays as it was served and says how old it is. */
(function () {
  "use strict";
  var url = document.body.getAttribute("data-live-url");
  if (!url || !window.EventSource) { return; }
  function group(text, places) {
    var n = Number(text);
    if (!isFinite(n)) { return null; }
    return (n < 0 ? "\u2212" : "") + Math.abs(n).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  }
  function signedPercent(n) {
    var t = Math.abs(n * 100).toFixed(2);
    return (Number(t) === 0 ? "" : n < 0 ? "\u2212" : "+") + t + "\u00a0%";
  }
  function put(name, text) {
    if (text == null) { return; }
    document.querySelectorAll('[data-live="' + name + '"]').forEach(function (e) {
      if (e.textContent !== text) { e.textContent = text; }
    });
  }
  var STALE_SECONDS = 180, seen = 0, source = null;
  function take(event) {
    var m = JSON.parse(event.data);
    seen = Date.now();
    put("equity", group(m.equity, 2));
    put("day-change", signedPercent(m.day_change));
    put("open-positions", String(m.open_positions));
    document.querySelectorAll('[data-live^="price:"]').forEach(function (e) {
      var price = (m.prices || {})[e.getAttribute("data-live").slice(6)];
      if (price != null) { e.textContent = group(price, Number(e.getAttribute("data-places") || 2)); }
    });
  }
  /* A page nobody looks at holds no connection: browsers allow few of them to one host. */
  function follow() {
    if (document.hidden) {
      if (source) { source.close(); source = null; }
    } else if (!source) {
      source = new EventSource(url);
      source.addEventListener("tick", take);
    }
  }
  document.addEventListener("visibilitychange", follow);
  follow();
  setInterval(function () {
    if (!seen) { return; }
    var age = Math.round((Date.now() - seen) / 1000);
    put("age", age + "\u00a0s");
    document.querySelectorAll('[data-live="age"]').forEach(function (e) { e.classList.toggle("mf-warn", age > STALE_SECONDS); });
  }, 1000);
}());
