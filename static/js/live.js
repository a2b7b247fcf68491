/* Keeps marked figures alive: <b data-live="equity">. The SSE extension of htmx holds the connection and
   hands over each message; where none comes, the page stays as it was served and says how old it is. */
(function () {
  "use strict";
  var listener = document.getElementById("live");
  if (!listener || !window.htmx || !window.EventSource) { return; }
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
  listener.addEventListener("htmx:sseMessage", function (event) { take(event.detail); });
  /* A page nobody looks at holds no connection: browsers allow few of them to one host. The extension
     opens a closed connection again when it is told of an error. */
  document.body.addEventListener("htmx:sseOpen", function (event) { source = event.detail.source; });
  document.addEventListener("visibilitychange", function () {
    if (!source) { return; }
    if (document.hidden) { source.close(); }
    else if (source.readyState === EventSource.CLOSED) { source.onerror(new Event("error")); }
  });
  setInterval(function () {
    if (!seen) { return; }
    var age = Math.round((Date.now() - seen) / 1000);
    put("age", age + "\u00a0s");
    document.querySelectorAll('[data-live="age"]').forEach(function (e) { e.classList.toggle("mf-warn", age > STALE_SECONDS); });
  }, 1000);
}());
