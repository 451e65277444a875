"use strict";
// The state of searches is looked at again while one is on its way. Without this script the page is reloaded.
(() => {
  const look = async () => {
    const now = document.getElementById("searches");
    if (!now || !now.dataset.active) return;
    try {
      const answer = await fetch(location.href);
      const other = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("searches");
      if (!other || !other.dataset.active) {
        location.reload();
        return;
      }
      if (!now.contains(document.activeElement)) now.replaceChildren(...other.childNodes);
    } catch {
      // the explorer was ended; perhaps it comes back
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 1000);
})();
