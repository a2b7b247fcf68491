/* Passkeys of the signer: the browser's answer is put into the form and sent. Codes need no script. */
(function () {
  "use strict";
  function bytes(text) {
    var plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (letter) { return letter.charCodeAt(0); });
  }
  function text(buffer) {
    var plain = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }
  function described(keys) {
    return (keys || []).map(function (key) { return Object.assign({}, key, { id: bytes(key.id) }); });
  }
  function say(form, words) {
    var line = form.querySelector("[data-problem]");
    line.textContent = words;
    line.hidden = false;
  }
  function answer(credential) {
    var given = credential.response, plain = { clientDataJSON: text(given.clientDataJSON) };
    if (given.attestationObject) { plain.attestationObject = text(given.attestationObject); }
    else {
      plain.authenticatorData = text(given.authenticatorData);
      plain.signature = text(given.signature);
    }
    return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response: plain,
      clientExtensionResults: {} };
  }
  document.querySelectorAll("form[data-passkey]").forEach(function (form) {
    if (!window.PublicKeyCredential) { say(form, "This browser has no passkeys."); return; }
    form.addEventListener("submit", function (event) {
      if (form.elements.answer.value) { return; }
      event.preventDefault();
      var options = JSON.parse(form.dataset.options), asked;
      options.challenge = bytes(options.challenge);
      if (form.dataset.passkey === "make") {
        options.user.id = bytes(options.user.id);
        options.excludeCredentials = described(options.excludeCredentials);
        asked = navigator.credentials.create({ publicKey: options });
      } else {
        options.allowCredentials = described(options.allowCredentials);
        asked = navigator.credentials.get({ publicKey: options });
      }
      asked.then(function (credential) {
        form.elements.answer.value = JSON.stringify(answer(credential));
        form.submit();
      }).catch(function () { say(form, "No passkey was used. Try again."); });
    });
  });
})();
