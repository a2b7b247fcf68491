/* Without a stored choice the page follows the system; the server writes a stored one itself. */
(function () {
  "use strict";
  var root = document.documentElement;
  if (root.hasAttribute("data-bs-theme")) { return; }
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function follow() { root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light"); }
  follow();
  dark.addEventListener("change", follow);
}());
