// Elements, numbers and moments. Text always goes in as text nodes: nothing that a chain or a file says is markup here.

const SVG = "http://www.w3.org/2000/svg";

const put = (element, children) => {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};

const dress = (element, properties) => {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
};

/** An HTML element with attributes, `on..` listeners and children. */
export const h = (name, properties = {}, ...children) => put(dress(document.createElement(name), properties), children);
/** An SVG element. */
export const s = (name, properties = {}, ...children) => put(dress(document.createElementNS(SVG, name), properties), children);

/** Replaces what is in an element. */
export const fill = (element, ...children) => {
  element.replaceChildren();
  return put(element, children);
};

export const byId = (id) => document.getElementById(id);

// Money is a decimal string. It is cut, never rounded up, so that no page says more than there is; what is owed or
// required is shown one cent up when something was cut.
const split = (decimal) => {
  const match = /^(-?)([0-9]+)(?:\.([0-9]+))?$/.exec(decimal ?? "");
  return match === null ? null : { negative: match[1] === "-", whole: match[2], part: match[3] ?? "" };
};
const group = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");

const cut = (decimal, places, up) => {
  const parts = split(decimal);
  if (parts === null) return "–";
  let number = BigInt(parts.whole + parts.part.slice(0, places).padEnd(places, "0"));
  const lost = /[1-9]/.test(parts.part.slice(places));
  // Down is towards minus infinity: a loss of 0.001 is shown as 0.01.
  if (lost && up !== parts.negative) number += 1n;
  const digits = number.toString().padStart(places + 1, "0");
  const sign = parts.negative && number > 0n ? "−" : "";
  return sign + group(digits.slice(0, digits.length - places)) + (places ? `.${digits.slice(-places)}` : "");
};

export const usd = (decimal) => cut(decimal, 2, false);
export const usdUp = (decimal) => cut(decimal, 2, true);
/** A change, with its sign. */
export const usdSigned = (decimal) => (split(decimal)?.negative === false && /[1-9]/.test(decimal) ? "+" : "") + usd(decimal);
/** Whole dollars, for axes and bars. */
export const usdShort = (number) => {
  const size = Math.abs(number);
  const sign = number < 0 ? "−" : "";
  if (size >= 1e9) return `${sign}${(size / 1e9).toFixed(1)}bn`;
  if (size >= 1e6) return `${sign}${(size / 1e6).toFixed(1)}m`;
  if (size >= 1e4) return `${sign}${Math.round(size / 1e3)}k`;
  return sign + Math.round(size).toLocaleString("en");
};
/** A health factor, rounded down; null means nothing is required. */
export const health = (decimal) => (decimal === null || decimal === undefined ? "∞" : cut(decimal, 3, false));
export const quantity = (decimal) => {
  const parts = split(decimal);
  return parts === null ? "–" : (parts.negative ? "−" : "") + group(parts.whole) + (parts.part ? `.${parts.part}` : "");
};
export const percent = (ratio, places = 1) => `${(Number(ratio) * 100).toFixed(places).replace("-", "−")} %`;
export const number = (decimal) => Number(decimal ?? 0);

/** As many columns fit a phone. */
const NARROW = 3;

// Networks by their CAIP-2 ids, as the service names them.
const networks = new Map();
export const nameNetworks = (found) => found.forEach((one) => networks.set(one.chain, one.name));
/** A chain by its network's name, with its id beside it. */
export const chain = (id) => (networks.has(id) ? `${networks.get(id)} (${id})` : id ?? "");
/** The same by the name alone, where the id is close by. */
export const chainName = (id) => networks.get(id) ?? id;

export const shorten = (hex) => (hex && hex.length > 14 ? `${hex.slice(0, 8)}…${hex.slice(-4)}` : hex);
export const moment = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 19) + " UTC";
export const ago = (seconds, now = Date.now() / 1000) => {
  const age = Math.max(0, Math.round(now - seconds));
  if (age < 120) return `${age} s ago`;
  if (age < 7200) return `${Math.floor(age / 60)} min ago`;
  return `${Math.floor(age / 3600)} h ago`;
};
export const until = (seconds, now = Date.now() / 1000) => {
  const left = Math.round(seconds - now);
  if (left <= 0) return "expired";
  return left < 120 ? `${left} s left` : left < 7200 ? `${Math.floor(left / 60)} min left` : `${Math.floor(left / 3600)} h left`;
};

/**
 * A table: columns are [title, numeric?]; rows are lists of cells, or {cells, class}. On a phone each row of a wide one is a
 * card, with the column's title beside each cell; the roles say that it is a table still.
 */
export const table = (caption, columns, rows, properties = {}) =>
  h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { role: "table", class: columns.length > NARROW && "cards", ...properties },
      h("caption", { class: "visually-hidden" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(([title, numeric]) => h("th", { scope: "col", role: "columnheader", class: numeric && "number" }, title)))),
      h(
        "tbody",
        { role: "rowgroup" },
        rows.map((row) => {
          const cells = Array.isArray(row) ? row : row.cells;
          return h(
            "tr",
            { class: row.class, role: "row" },
            cells.map((cell, i) => (i === 0 ? h("th", { scope: "row", role: "rowheader" }, cell) : h("td", { role: "cell", class: columns[i][1] && "number", data: { title: columns[i][0] } }, cell))),
          );
        }),
      ),
    ),
  );

export const card = (title, properties, ...children) =>
  h("section", { class: `card ${properties.class ?? ""}`, "aria-label": title, id: properties.id }, h("header", {}, h("h2", {}, title), properties.aside), ...children);

export const notice = (kind, ...children) => h("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, ...children);

/** Copies a text; the button says so for a moment. */
export const copyButton = (text, label = "Copy") => {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
};

/** Lets the browser save a text as a file. */
export const download = (name, text, type = "application/json") => {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};
