// What there is to see in a report, as JSON. Run in the page by the browser, not by the page.
(() => {
  const visible = (element) => element.getClientRects().length > 0;
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = parse(colour).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // The nearest ground below an element that is not transparent.
  const ground = (element) => {
    const paper = element.closest("svg")?.querySelector(".paper");
    if (paper) return getComputedStyle(paper).fill;
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parse(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (element) => {
    const style = getComputedStyle(element);
    const inDrawing = element.closest("svg");
    const colour = inDrawing ? (element.matches("text") ? style.fill : style.stroke) : style.color;
    const [a, b] = [luminance(colour), luminance(ground(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const contrasts = {};
  const kinds = ["h1", "h2", "p", "a", "figcaption", "figcaption strong", "thead th", "thead small",
    "tbody th", "tbody td", "dt", "dd", "pre", "footer", "svg text", "svg text.soft",
    "svg .line.s0", "svg .line.s1", "svg .line.s2", "svg .line.s3", "svg .line.s4"];
  for (const kind of kinds) {
    for (const element of document.querySelectorAll(kind)) {
      if (!visible(element)) continue;
      contrasts[kind] = Math.min(contrasts[kind] ?? Infinity, contrast(element));
    }
  }
  const charts = [...document.querySelectorAll("figure:has(> svg)")].map((figure) => {
    const shown = [...figure.querySelectorAll("svg")].filter(visible);
    const svg = shown[0];
    const named = svg.getAttribute("aria-labelledby").split(" ");
    const [title, description] = named.map((id) => document.getElementById(id)?.textContent);
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")];
    const outside = texts.filter((text) => {
      const box = text.getBoundingClientRect();
      return box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    });
    const scale = frame.width / svg.viewBox.baseVal.width;
    return {
      id: figure.id, title, description, visible: shown.length,
      caption: figure.querySelector("figcaption").textContent,
      lines: svg.querySelectorAll("path.line, path.dots").length,
      text_px: scale * parseFloat(svg.getAttribute("font-size")),
      outside: outside.length,
    };
  });
  const tables = [...document.querySelectorAll("table")].map((table) => ({
    id: table.id,
    headers: table.querySelectorAll("thead th[scope=col]").length,
    cells: [...table.querySelectorAll("tbody tr")].map((row) =>
      [...row.cells].map((cell) => cell.textContent)),
  }));
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter((element) =>
    element.getBoundingClientRect().right > root.clientWidth + 1 && !element.closest(".scroll, svg"));
  return JSON.stringify({
    width: innerWidth,
    scroll_width: root.scrollWidth,
    wide: wide.map((element) => element.tagName + "." + element.className).slice(0, 5),
    dark: luminance(getComputedStyle(document.body).backgroundColor) < 0.2,
    charts, tables, contrasts,
    data: JSON.parse(document.getElementById("data").textContent),
  });
})()
