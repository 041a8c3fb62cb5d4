"""A script that lists what on a page somebody could not read, name or reach; run inside the browser."""

FAULTS = r"""
() => {
  const faults = [], all = (s) => Array.from(document.querySelectorAll(s));
  const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && e.getClientRects().length > 0;
  const where = (e) => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}.${e.getAttribute("class") || ""} "${e.textContent.trim().slice(0, 30)}"`;
  const name = (e) => (e.getAttribute("aria-label") || e.getAttribute("title") || Array.from(e.labels || []).map((l) => l.textContent).join(" ")
    || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ")
    || e.textContent || "").trim();

  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  if (all("h1").length !== 1) faults.push(`${all("h1").length} first headings`);
  if (all("main").length !== 1) faults.push("not one main");
  const ids = all("[id]").map((e) => e.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => faults.push(`id ${id} twice`));
  all("main h1, main h2, main h3, main h4").reduce((before, e) => {
    const level = Number(e.tagName[1]);
    if (level > before + 1) faults.push(`heading skips to ${where(e)}`);
    return level;
  }, 1);
  all("a[href], button, summary").filter((e) => shown(e) && !name(e)).forEach((e) => faults.push(`no name: ${where(e)}`));
  all("input:not([type=hidden]), select, textarea").filter((e) => shown(e) && !name(e)).forEach((e) => faults.push(`no label: ${e.name}`));
  all("img").filter((e) => !e.hasAttribute("alt")).forEach((e) => faults.push(`no alt: ${e.src}`));
  all("svg").filter((e) => shown(e) && e.getAttribute("aria-hidden") !== "true" && !(e.getAttribute("role") === "img" && name(e)))
    .forEach((e) => faults.push(`nameless picture ${where(e)}`));
  all("[tabindex]").filter((e) => e.tabIndex > 0).forEach((e) => faults.push(`tab order ${where(e)}`));
  all("table.rows th:not([scope])").forEach((e) => faults.push(`no scope: ${where(e)}`));
  all("li").filter((e) => !e.closest("ul, ol")).forEach((e) => faults.push(`stray ${where(e)}`));
  all("fieldset").filter((e) => shown(e) && !e.querySelector("legend")).forEach((e) => faults.push(`no legend ${where(e)}`));
  all("[aria-labelledby]").forEach((e) => e.getAttribute("aria-labelledby").split(" ").forEach((id) => {
    if (!document.getElementById(id)) faults.push(`names ${id}, which is not there`);
  }));

  all("*").filter((e) => e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && shown(e))
    .filter((e) => e.tabIndex < 0 && !Array.from(e.querySelectorAll("a[href], button, input, select, textarea, summary")).some(shown))
    .forEach((e) => faults.push(`scrolls, but not by keyboard: ${where(e)}`));
  all("p a[href]").filter((e) => shown(e) && getComputedStyle(e).textDecorationLine === "none" && e.parentElement.textContent.trim() !== e.textContent.trim()
    && !e.className && Array.from(e.parentElement.childNodes).some((n) => n.nodeType === 3 && n.data.trim()))
    .forEach((e) => faults.push(`link told by colour alone: ${where(e)}`));

  // contrast after WCAG 2.2: relative luminance, 4.5 to 1, 3 to 1 for large text; backgrounds laid over one another
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) { const c = rgba(getComputedStyle(at).backgroundColor); layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((under, top) => over(top, under), dark ? [0, 0, 0, 1] : [255, 255, 255, 1]);
  };
  for (const e of all("body *")) {
    const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !shown(e) || e.closest("svg, .hush, .skip, dialog, [disabled], option")) continue;
    const style = getComputedStyle(e), under = ground(e), ink = over(rgba(style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${where(e)}`);
  }
  return [...new Set(faults)];
}
"""
