// Charts as SVG, drawn from numbers; each comes with its numbers as a table, for readers who do not see it.

import { h, s, table, usdShort } from "./dom.mjs";

const WIDTH = 640;

const figure = (label, drawing, numbers) =>
  h("figure", {}, drawing, numbers && h("details", {}, h("summary", {}, "Show as a table"), numbers));

/** A half-circle from 0 to `most` with a mark at `value`; `marks` are [value, class] where bands begin. */
export const gauge = (label, value, text, most, marks) => {
  const [cx, cy, radius] = [120, 116, 92];
  const at = (x, r) => {
    const angle = Math.PI * (1 - Math.min(Math.max(x / most, 0), 1));
    return [cx + r * Math.cos(angle), cy - r * Math.sin(angle)];
  };
  const arc = (from, to, name) => {
    const [[x0, y0], [x1, y1]] = [at(from, radius), at(to, radius)];
    return s("path", { class: `band ${name}`, d: `M${x0} ${y0}A${radius} ${radius} 0 0 1 ${x1} ${y1}` });
  };
  const bands = marks.map(([from, name], i) => arc(from, marks[i + 1]?.[0] ?? most, name));
  const [x, y] = at(value, radius);
  const band = marks.filter(([from]) => value >= from).at(-1)?.[1] ?? marks[0][1];
  return s(
    "svg",
    { class: "gauge", viewBox: "0 0 240 146", role: "img", "aria-label": `${label}: ${text}` },
    bands,
    marks.slice(1).map(([from]) => {
      const [tx, ty] = at(from, radius + 16);
      return s("text", { x: tx, y: ty + 3, class: "tick", "text-anchor": "middle" }, String(from));
    }),
    s("circle", { class: "needle", cx: x, cy: y, r: 10 }),
    s("text", { class: `reading ${band}`, x: cx, y: cy - 14, "text-anchor": "middle" }, text),
    s("text", { class: "tick", x: cx, y: cy + 22, "text-anchor": "middle" }, label),
  );
};

const scale = (low, high, from, to) => (x) => from + ((x - low) / (high - low || 1)) * (to - from);

/** Steps from one total to the next: [{name, kind: total|plus|minus, amount, group}]. */
export const waterfall = (label, steps) => {
  let running = 0;
  const bars = steps.map((step) => {
    if (step.kind === "total") {
      running = step.group === "requirement" ? running : step.amount;
      const base = step.group === "requirement" ? running : 0;
      return { ...step, from: base, to: step.group === "requirement" ? running + step.amount : step.amount };
    }
    const from = running;
    running += step.kind === "plus" ? step.amount : -step.amount;
    return { ...step, from, to: running };
  });
  const [row, top, left, right] = [26, 8, 190, 90];
  const height = top + bars.length * row + 8;
  const values = bars.flatMap((bar) => [bar.from, bar.to]);
  const x = scale(Math.min(0, ...values), Math.max(...values, 1), left, WIDTH - right);
  return figure(
    label,
    s(
      "svg",
      { class: "chart waterfall", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label },
      bars.map((bar, i) => {
        const y = top + i * row;
        const [x0, x1] = [x(Math.min(bar.from, bar.to)), x(Math.max(bar.from, bar.to))];
        const sign = bar.kind === "minus" ? "−" : bar.kind === "plus" ? "+" : "";
        return s(
          "g",
          { class: `step ${bar.kind} ${bar.group}` },
          s("text", { x: left - 10, y: y + 16, "text-anchor": "end", class: "name" }, bar.name),
          i > 0 && s("line", { class: "join", x1: x(bar.kind === "total" ? 0 : bar.from), x2: x(bar.from), y1: y, y2: y }),
          s("rect", { x: x0, y: y + 4, width: Math.max(1.5, x1 - x0), height: row - 9, rx: 2 }),
          s("text", { x: x1 + 6, y: y + 16, class: "value" }, sign + usdShort(bar.amount)),
        );
      }),
      s("line", { class: "axis", x1: x(0), x2: x(0), y1: top - 4, y2: height - 4 }),
    ),
    table(label, [["Step"], ["USD", true]], steps.map((step) => [step.name, `${step.kind === "minus" ? "−" : ""}${step.text}`])),
  );
};

/** P&L over scenarios: [{name, value, text}], the worst one marked. */
export const scenarios = (label, points) => {
  const [height, left, bottom, top] = [220, 56, 14, 10];
  const values = points.map((p) => p.value);
  const y = scale(Math.min(0, ...values), Math.max(0, ...values), height - bottom, top);
  const width = (WIDTH - left - 8) / points.length;
  const worst = values.indexOf(Math.min(...values));
  const ticks = [Math.min(0, ...values), 0, Math.max(0, ...values)].filter((v, i, all) => all.indexOf(v) === i);
  return figure(
    label,
    s(
      "svg",
      { class: "chart bars", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${label}; worst: ${points[worst]?.name ?? "none"}` },
      ticks.map((t) => [
        s("line", { class: t === 0 ? "axis" : "grid", x1: left, x2: WIDTH - 8, y1: y(t), y2: y(t) }),
        s("text", { class: "tick", x: left - 8, y: y(t) + 4, "text-anchor": "end" }, usdShort(t)),
      ]),
      points.map((p, i) =>
        s(
          "rect",
          {
            class: `${p.value < 0 ? "loss" : "gain"}${i === worst && p.value < 0 ? " worst" : ""}`,
            x: left + i * width + width * 0.12,
            width: width * 0.76,
            y: y(Math.max(0, p.value)),
            height: Math.max(1, Math.abs(y(p.value) - y(0))),
          },
          s("title", {}, `${p.name}: ${p.text} USD`),
        ),
      ),
    ),
    table(label, [["Scenario"], ["P&L USD", true]], points.map((p) => [p.name, p.text])),
  );
};

/** Lines over time: series [{name, class, points: [[seconds, value]]}]. */
export const lines = (label, series, format = usdShort) => {
  const [height, left, right, top, bottom] = [220, 60, 12, 12, 26];
  const all = series.flatMap((one) => one.points);
  if (all.length === 0) return h("p", { class: "empty" }, "Nothing yet.");
  const [t0, t1] = [Math.min(...all.map((p) => p[0])), Math.max(...all.map((p) => p[0]))];
  const [v0, v1] = [Math.min(0, ...all.map((p) => p[1])), Math.max(...all.map((p) => p[1]))];
  const [x, y] = [scale(t0, t1, left, WIDTH - right), scale(v0, v1 * 1.05 || 1, height - bottom, top)];
  const clock = (t) => new Date(t * 1000).toISOString().slice(t1 - t0 > 86_400 ? 5 : 11, t1 - t0 > 86_400 ? 10 : 19);
  return h(
    "figure",
    {},
    s(
      "svg",
      { class: "chart lines", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label },
      [v0, (v0 + v1) / 2, v1].map((v) => [
        s("line", { class: v === 0 ? "axis" : "grid", x1: left, x2: WIDTH - right, y1: y(v), y2: y(v) }),
        s("text", { class: "tick", x: left - 8, y: y(v) + 4, "text-anchor": "end" }, format(v)),
      ]),
      (t1 > t0 ? [t0, t1] : [t0]).map((t, i) =>
        s("text", { class: "tick", x: x(t), y: height - 8, "text-anchor": i === 0 ? "start" : "end" }, clock(t)),
      ),
      series.map((one) => [
        s("polyline", { class: `line ${one.class}`, points: one.points.map((p) => `${x(p[0])},${y(p[1])}`).join(" ") }),
        one.points.map((p) => s("circle", { class: `dot ${one.class}`, cx: x(p[0]), cy: y(p[1]), r: 2.5 })),
      ]),
    ),
    h("figcaption", { class: "legend" }, series.map((one) => h("span", { class: one.class }, one.name))),
  );
};

/** One bar cut into parts: [{name, value, class, text}]. */
export const shares = (label, parts) => {
  const total = parts.reduce((sum, part) => sum + Math.max(0, part.value), 0) || 1;
  let from = 0;
  return h(
    "figure",
    {},
    s(
      "svg",
      { class: "chart shares", viewBox: `0 0 ${WIDTH} 26`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      parts.map((part, i) => {
        const width = (Math.max(0, part.value) / total) * WIDTH;
        const rect = s("rect", { class: part.class ?? `hue-${i % 6}`, x: from, y: 0, width, height: 26 }, s("title", {}, `${part.name}: ${part.text}`));
        from += width;
        return rect;
      }),
    ),
    h("figcaption", { class: "legend" }, parts.map((part, i) => h("span", { class: part.class ?? `hue-${i % 6}` }, `${part.name} ${part.text}`))),
  );
};
