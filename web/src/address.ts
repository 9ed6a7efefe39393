// What is shown, as the part of the address after #: whoever gets the address sees the same.

import type { Zone } from "./format";
import { DEFAULT_ROWS } from "./span";
import type { Theme } from "./theme";

export type View = "picture" | "forecast" | "text" | "why" | "state" | "past" | "how";

export interface Shown {
  stream: string | null;
  rows: number; // length of the window
  end: number | null; // event time of its newest row, null: follow
  view: View | null; // null: the usual one for the stream
  lines: string[] | null; // drawn channels and outputs, null: the usual ones
  unit: number | null; // hidden unit that colours the text
  surprise: boolean; // instead, its surprise does
  theme: Theme;
  zone: Zone;
}

const VIEWS: readonly string[] = ["picture", "forecast", "text", "why", "state", "past", "how"];

export function parseAddress(hash: string): Shown {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const numeric = (name: string) => {
    const value = Number(parameters.get(name) ?? NaN);
    return Number.isFinite(value) ? value : null;
  };
  const theme = parameters.get("theme");
  const view = parameters.get("view") ?? "";
  const rows = numeric("window");
  return {
    stream: parameters.get("stream"),
    rows: rows !== null && rows > 0 ? rows : DEFAULT_ROWS,
    end: numeric("end"),
    view: VIEWS.includes(view) ? (view as View) : null,
    lines: parameters.get("lines")?.split(",").filter(Boolean) ?? null,
    unit: numeric("unit"),
    surprise: parameters.get("colour") === "surprise",
    theme: theme === "dark" || theme === "light" ? theme : "auto",
    zone: parameters.get("zone") === "utc" ? "utc" : "local",
  };
}

export function formatAddress(shown: Shown): string {
  const parts: string[] = [];
  const add = (name: string, value: string) =>
    parts.push(`${name}=${encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%2C", ",")}`);
  if (shown.stream !== null) add("stream", shown.stream);
  if (shown.rows !== DEFAULT_ROWS) add("window", String(Math.round(shown.rows)));
  if (shown.end !== null) add("end", String(Math.round(shown.end * 1000) / 1000));
  if (shown.view !== null) add("view", shown.view);
  if (shown.lines !== null) add("lines", shown.lines.join(","));
  if (shown.unit !== null) add("unit", String(shown.unit));
  if (shown.surprise) add("colour", "surprise");
  if (shown.theme !== "auto") add("theme", shown.theme);
  if (shown.zone !== "local") add("zone", shown.zone);
  return parts.length === 0 ? "" : `#${parts.join("&")}`;
}

/** The token of an address like /#token=..., which must not stay there; else what this tab was told before. */
export function takeToken(): string | null {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const token = parameters.get("token");
  if (token !== null) {
    sessionStorage.setItem("token", token);
    parameters.delete("token");
    const rest = parameters.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest === "" ? "" : `#${rest}`));
  }
  return sessionStorage.getItem("token");
}

export function keepToken(token: string): void {
  sessionStorage.setItem("token", token);
}
