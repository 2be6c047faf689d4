// Brings what has changed into a page that is open. Without it the page still reads, and orders are forms.
"use strict";
(() => {
  const spoken = document.getElementById("announce");
  const link = document.getElementById("link");

  function inWords(seconds) {
    const past = seconds < 0;
    const size = Math.abs(seconds);
    const told =
      size < 90 ? `${Math.round(size)} s` : size < 5400 ? `${Math.round(size / 60)} min`
      : size < 129600 ? `${Math.round(size / 3600)} h` : `${Math.round(size / 86400)} d`;
    return past ? `${told} ago` : `in ${told}`;
  }

  function tellTimes() {
    const now = Date.now();
    for (const each of document.querySelectorAll("time[data-ago]")) {
      const told = inWords((Date.parse(each.dateTime) - now) / 1000);
      if (each.textContent !== told) each.textContent = told;
    }
  }

  function connection(state, word) {
    if (link.dataset.state === state) return;
    link.dataset.state = state;
    link.querySelector(".word").textContent = word;
  }

  function elementOf(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html.trim();
    return holder.content.firstElementChild;
  }

  function replace(id, html) {
    const old = document.getElementById(id);
    if (!old) return;
    const fresh = elementOf(html);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const scrolled = [...old.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
    const [before, after] = [old.dataset.say, fresh.dataset.say];
    old.replaceWith(fresh);
    fresh.querySelectorAll(".scroll").forEach((each, number) => {
      if (scrolled[number]) [each.scrollLeft, each.scrollTop] = scrolled[number];
    });
    if (focused) {
      const href = focused.getAttribute("href");
      const again = (focused.id && document.getElementById(focused.id))
        || [...fresh.querySelectorAll("a[href]")].find((each) => each.getAttribute("href") === href)
        || fresh.querySelector("[tabindex]");
      if (again) again.focus({ preventScroll: true });
    }
    if (after && before !== after) {
      spoken.textContent = after;
      fresh.classList.add("news");
    }
  }

  function listen(address) {
    const source = new EventSource(address);
    source.addEventListener("open", () => connection("live", "Live"));
    source.addEventListener("parts", (event) => {
      const { parts, trouble } = JSON.parse(event.data);
      for (const [id, html] of Object.entries(parts)) replace(id, html);
      const said = document.getElementById("trouble");
      if (said.textContent !== trouble) said.textContent = trouble;
      said.hidden = !trouble;
      tellTimes();
    });
    source.addEventListener("reload", () => { source.close(); location.reload(); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) connection("lost", "Connection lost, trying again");
      else {
        connection("over", "Not live: load the page again");
        setTimeout(() => listen(address), 10000);
      }
    });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  tellTimes();
  setInterval(tellTimes, 1000);
  if (document.body.dataset.stream) listen(document.body.dataset.stream);
})();
