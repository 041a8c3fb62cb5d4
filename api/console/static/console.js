// What the pages gain from scripts: live rows, running clocks, keys. Everything works without this file.
"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const spoken = document.getElementById("spoken");
  const say = (text) => { if (spoken) spoken.textContent = text; };

  // -- clocks -------------------------------------------------------------------------------------------------------
  const length = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${String(m).padStart(2, "0")} min`;
    return m ? `${m} min` : `${s} s`;
  };
  const tick = () => {
    for (const one of all("time[data-ago], time[data-age], time[data-due]")) {
      const away = (Date.parse(one.dateTime) - Date.now()) / 1000;
      const text = "due" in one.dataset ? (away > 0 ? `${length(away)} left` : `${length(-away)} over`)
        : `${length(-away)}${"ago" in one.dataset ? " ago" : ""}`;
      if (one.textContent !== text) one.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // -- live regions: on a signal the page is fetched again and its data-live parts are replaced -------------------------
  const pulse = document.querySelector("[data-pulse]");
  const lit = (on) => { if (pulse) { pulse.classList.toggle("on", on); pulse.classList.toggle("off", !on); pulse.textContent = on ? "live" : "not live"; } };
  const busy = (region) => region.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
  const opened = (region) => all("details", region).map((one) => one.open);
  let waiting = null, running = false, again = false;
  const refresh = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Signalbox-Live": "1" }, credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403 || answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of all("[data-live]")) {
        const next = region.id && page.getElementById(region.id);
        if (!next || next.innerHTML === region.innerHTML || busy(region)) continue;
        const focus = region.contains(document.activeElement) && document.activeElement.getAttribute("href");
        const states = opened(region), chosen = all("input[type=checkbox]:checked", region).map((one) => one.value);
        region.className = next.className;
        region.replaceChildren(...next.childNodes);
        all("details", region).forEach((one, at) => { if (at in states) one.open = states[at]; });
        all("input[type=checkbox]", region).forEach((one) => { one.checked = chosen.includes(one.value); });
        if (focus) all("a", region).find((one) => one.getAttribute("href") === focus)?.focus();
      }
      tick();
    } catch { lit(false); } finally {
      running = false;
      if (again) { again = false; soon(); }
    }
  };
  const soon = () => { waiting ??= setTimeout(() => { waiting = null; refresh(); }, 700); };
  const source = document.body.dataset.stream;
  if (source && document.querySelector("[data-live]") && "EventSource" in window) {
    const stream = new EventSource(source);
    stream.onopen = () => lit(true);
    stream.onerror = () => { lit(false); if (stream.readyState === EventSource.CLOSED) soon(); };
    stream.onmessage = () => { if (!document.hidden) soon(); else again = true; };
    document.addEventListener("visibilitychange", () => { if (!document.hidden && again) { again = false; soon(); } });
    setInterval(() => { if (!document.hidden) soon(); }, 30000);
  }

  // -- forms: one click is one answer; filters apply by themselves ------------------------------------------------------
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.defaultPrevented) return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
  });
  addEventListener("pageshow", () => all("form[data-sent]").forEach((one) => delete one.dataset.sent));
  document.addEventListener("change", (event) => {
    const on = event.target;
    if (on.matches("[data-submit]")) on.form.requestSubmit();
    if (on.matches("[data-all]")) all(`input[name="${CSS.escape(on.dataset.all)}"]`).forEach((one) => { one.checked = on.checked; });
  });

  // -- keys -------------------------------------------------------------------------------------------------------------
  const help = document.getElementById("keys"), keysOn = document.getElementById("keys-on");
  const OFF = "signalbox.keys.off";
  if (keysOn) {
    keysOn.checked = !localStorage.getItem(OFF);
    keysOn.addEventListener("change", () => keysOn.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1"));
  }
  let going = 0;
  const row = (step) => {
    const links = all("[data-row]").map((one) => one.querySelector("a")).filter(Boolean);
    if (!links.length) return;
    const at = links.findIndex((one) => one.closest("[data-row]").contains(document.activeElement));
    links[Math.min(links.length - 1, Math.max(0, at + step))].focus();
  };
  const answer = (key) => {
    const details = document.querySelector(`[data-key-details="${key}"]`);
    if (details) { details.open = true; details.querySelector("input, textarea")?.focus(); return true; }
    const button = document.querySelector(`[data-key="${key}"]`), why = button?.form.querySelector("textarea[required]");
    if (!button) return false;
    if (why && !why.value.trim()) { why.focus(); say(`Say why, then press ${button.textContent.trim()}`); } else button.focus();
    return true;
  };
  document.addEventListener("keydown", (event) => {
    const on = event.target;
    if (event.key === "Escape" && on.matches("input, textarea, select")) { on.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || on.matches("input, textarea, select, [contenteditable]")) return;
    if (event.key === "?" && help) { event.preventDefault(); help.showModal(); return; }
    if (help?.open || (keysOn && !keysOn.checked)) return;
    if (Date.now() - going < 1200) {
      going = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    switch (event.key) {
      case "g": going = Date.now(); break;
      case "/": { const box = document.querySelector("[data-search]"); if (box) { event.preventDefault(); box.focus(); box.select(); } break; }
      case "j": row(1); break;
      case "k": row(-1); break;
      default: if ("aer".includes(event.key) && answer(event.key)) event.preventDefault();
    }
  });
})();
