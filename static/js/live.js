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
  var seen = 0;
  var source = new EventSource(url);
  source.addEventListener("tick", function (event) {
    var m = JSON.parse(event.data);
    seen = Date.now();
    put("equity", group(m.equity, 2));
    put("day-change", signedPercent(m.day_change));
    put("open-positions", String(m.open_positions));
    Object.keys(m.prices || {}).forEach(function (s) { put("price:" + s, group(m.prices[s], 2)); });
  });
  setInterval(function () {
    if (seen) { put("age", Math.round((Date.now() - seen) / 1000) + "\u00a0s"); }
  }, 1000);
}());
