/* Names and levels that Swagger UI leaves out, for readers of screens: it draws its page by itself, so
   each element is mended as it appears. */
(function () {
  "use strict";
  function mend() {
    document.querySelectorAll(":is(h3, h4, h5):not([aria-level])").forEach(function (heading) {
      heading.setAttribute("aria-level", !heading.closest(".opblock") ? "2" : heading.tagName === "H5" ? "4" : "3");
    });
    document.querySelectorAll(".information-container:not([role])").forEach(function (about) {
      about.setAttribute("role", "region");
      about.setAttribute("aria-label", "About this API");
    });
    /* A button holds no link of its own; the button opens the operation and sets its address. */
    document.querySelectorAll(".opblock-summary-control a[href]").forEach(function (link) {
      link.removeAttribute("href");
    });
    document.querySelectorAll("table.responses-table:not([aria-label])").forEach(function (table) {
      table.setAttribute("aria-label", table.id.replace(/_/g, " "));
    });
  }
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
}());
