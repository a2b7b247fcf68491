/* What htmx does not do by itself: confirmations in a dialog, focus where it was, failures in words.
   Every link and form below has an address of its own, so nothing here is needed to use a page. */
(function () {
  "use strict";
  var dialog = document.getElementById("dialog"), opener = "";
  if (!dialog || !dialog.showModal || !window.htmx) { return; }
  function say(text) {
    var box = document.getElementById("messages"), line = document.createElement("div");
    if (!box) { return; }
    line.className = "mf-notice is-loss mb-3";
    line.setAttribute("role", "alert");
    line.textContent = text;
    box.replaceChildren(line);
  }
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (event.detail.target === dialog) { opener = event.detail.elt.id; }
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target === dialog) {
      if (!dialog.open) { dialog.showModal(); }
      var first = dialog.querySelector("input:not([type=hidden]), textarea, [data-close]");
      if (first) { first.focus(); }
    } else if (dialog.open && event.detail.requestConfig && dialog.contains(event.detail.requestConfig.elt)) {
      dialog.close();
    }
  });
  dialog.addEventListener("click", function (event) {
    if (event.target === dialog || event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });
  dialog.addEventListener("close", function () {
    var back = document.getElementById(opener) || document.getElementById("main");
    dialog.replaceChildren();
    if (back) { if (!back.matches("a, button, input")) { back.tabIndex = -1; } back.focus(); }
  });
  document.addEventListener("htmx:responseError", function () {
    say("Not loaded: the server refused the request. Reload the page and try again.");
  });
  document.addEventListener("htmx:sendError", function () {
    say("Not loaded: the server cannot be reached. Check your connection and try again.");
  });
}());
