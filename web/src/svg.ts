// Drawings of boxes and arrows.

const NAMESPACE = "http://www.w3.org/2000/svg";

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
  text = "",
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== "") made.textContent = text;
  return made;
}

/** A line from one place to another with a head at its end. */
export function arrow(x1: number, y1: number, x2: number, y2: number, className: string): SVGGElement {
  const group = svg("g", { class: `arrow ${className}` });
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const wing = (turn: number) => `${x2 - 5 * Math.cos(angle + turn)},${y2 - 5 * Math.sin(angle + turn)}`;
  group.append(
    svg("line", { x1, y1, x2, y2 }),
    svg("polyline", { points: `${wing(0.5)} ${x2},${y2} ${wing(-0.5)}` }),
  );
  return group;
}

/** A drawing of width x height that scales with its place, and what it shows in words. */
export function drawing(width: number, height: number, label: string): SVGSVGElement {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}
