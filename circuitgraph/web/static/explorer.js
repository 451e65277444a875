"use strict";
// The search box shows what is found while one types. Without this script it is a plain form.

(() => {
  const WAIT_MS = 120;
  const SHOWN = 8;
  const box = document.querySelector("form.search input[role=combobox]");
  const list = box && document.getElementById(box.getAttribute("aria-controls"));
  if (!list) return;
  const popup = list.parentElement;
  const status = popup.querySelector("[role=status]");
  let timer = 0;
  let asked = null;
  let chosen = -1;

  const options = () => Array.from(list.querySelectorAll("[role=option]"));

  const close = () => {
    popup.hidden = true;
    list.replaceChildren();
    status.textContent = "";
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const choose = (place) => {
    const all = options();
    chosen = all.length ? (place + all.length) % all.length : -1;
    all.forEach((option, index) => option.setAttribute("aria-selected", String(index === chosen)));
    if (chosen < 0) return;
    box.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  };

  const option = (row, index) => {
    const item = document.createElement("li");
    item.id = `found-${index}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.dataset.address = row.address;
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = row.kind;
    const title = document.createElement("span");
    title.className = "title";
    title.textContent = row.title;
    const note = document.createElement("small");
    note.textContent = row.note;
    item.append(kind, title, note);
    return item;
  };

  const show = (rows, count) => {
    if (document.activeElement !== box) return;
    list.replaceChildren(...rows.map(option));
    const more = count > rows.length ? "; Enter shows more" : "";
    status.textContent = rows.length ? `${rows.length} of ${count.toLocaleString("en")}${more}` : "nothing found";
    chosen = -1;
    box.removeAttribute("aria-activedescendant");
    popup.hidden = false;
    box.setAttribute("aria-expanded", "true");
  };

  const ask = async () => {
    asked?.abort();
    const text = box.value.trim();
    if (!text) {
      close();
      return;
    }
    const mine = new AbortController();
    asked = mine;
    try {
      const query = new URLSearchParams({ q: text, limit: SHOWN });
      const answer = await fetch(`/search.json?${query}`, { signal: mine.signal });
      if (!answer.ok) return;
      const { data } = await answer.json();
      // an older answer that comes late is of no use
      if (asked === mine) show(data.rows, data.count);
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  };

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  });
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (popup.hidden) ask();
      else if (event.key === "ArrowDown") choose(chosen + 1);
      else choose(chosen < 0 ? -1 : chosen - 1);
    } else if (event.key === "Escape") {
      clearTimeout(timer);
      asked?.abort();
      if (!popup.hidden) {
        event.preventDefault();
        close();
      }
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      location.assign(options()[chosen].dataset.address);
    }
  });
  // before the box loses the focus
  popup.addEventListener("pointerdown", (event) => {
    const item = event.target.closest("[role=option]");
    event.preventDefault();
    if (item) location.assign(item.dataset.address);
  });
  box.addEventListener("blur", () => {
    clearTimeout(timer);
    asked?.abort();
    close();
  });
})();
