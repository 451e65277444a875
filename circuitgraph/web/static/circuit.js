"use strict";
// A threshold is seen while it is set. Without this script the form's button does the same.
(() => {
  const form = document.getElementById("choose");
  const drawn = document.getElementById("drawn");
  if (!form || !drawn) return;
  let waiting = 0;
  let asked = null;

  const show = async () => {
    const address = new URL(form.action);
    for (const [name, value] of new FormData(form)) {
      if (value !== "" && !(value === "0" && name.startsWith("min_"))) address.searchParams.append(name, value);
    }
    if (asked) asked.abort();
    asked = new AbortController();
    drawn.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { signal: asked.signal });
      const other = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = other.getElementById("drawn");
      if (!fresh) {
        // the page says what is wrong with the form
        location.assign(address);
        return;
      }
      drawn.replaceChildren(...fresh.childNodes);
      const about = document.querySelector("footer .about");
      const newer = other.querySelector("footer .about");
      if (about && newer) about.replaceWith(newer);
      history.replaceState(null, "", address);
    } catch (error) {
      if (error.name !== "AbortError") form.submit();
    } finally {
      drawn.removeAttribute("aria-busy");
    }
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 250);
  };

  for (const slider of form.querySelectorAll("input[type=range][data-sets]")) {
    const field = document.getElementById(slider.dataset.sets);
    slider.hidden = false;
    slider.addEventListener("input", () => {
      field.value = slider.value;
      soon();
    });
    field.addEventListener("input", () => {
      slider.value = field.value;
    });
  }
  form.addEventListener("change", (event) => {
    if (event.target.type !== "range" && form.checkValidity()) soon();
  });
})();
