// The views of a stream, as tabs; a stream of text or with pictures has one more.

import type { View } from "./address";
import type { Kind } from "./catalogue";
import { element } from "./dom";

export interface Tabs {
  draw(kind: Kind, view: View): void;
}

export function viewsOf(kind: Kind): View[] {
  const own: View[] = kind.pictured ? ["picture"] : [];
  const why: View[] = kind.explains ? ["why"] : [];
  const state: View[] = kind.units > 0 ? ["state"] : [];
  const past: View[] = kind.kind === "sensor" ? ["past"] : []; // of tokens there is nothing to draw
  return [...own, ...(kind.kind === "tokens" ? ["text" as const] : []), "forecast", ...why, ...state, ...past, "how"];
}

export function createTabs(open: (view: View) => void): Tabs {
  const host = element("tabs");
  const tabs = [...host.querySelectorAll<HTMLButtonElement>("[role=tab]")];
  const viewOf = (tab: HTMLButtonElement) => tab.dataset.view as View;
  for (const tab of tabs) tab.addEventListener("click", () => open(viewOf(tab)));
  host.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const usable = tabs.filter((tab) => !tab.hidden);
    const at = usable.indexOf(document.activeElement as HTMLButtonElement);
    if (by === 0 || at < 0) return;
    event.preventDefault();
    const next = usable[(at + by + usable.length) % usable.length];
    next.focus();
    open(viewOf(next));
  });
  let drawn: [Kind, View] | null = null;
  return {
    draw(kind, view) {
      if (drawn?.[0] === kind && drawn[1] === view) return;
      drawn = [kind, view];
      const views = viewsOf(kind);
      for (const tab of tabs) {
        tab.hidden = !views.includes(viewOf(tab));
        tab.ariaSelected = String(viewOf(tab) === view);
        tab.tabIndex = viewOf(tab) === view ? 0 : -1;
      }
      element("tab-forecast").textContent = kind.kind === "tokens" ? "Surprise" : "Forecast";
      element("main").dataset.view = view;
      element("stack").hidden = view !== "forecast" && view !== "state";
      element("picture").hidden = view !== "picture";
      element("text").hidden = view !== "text";
      element("why").hidden = view !== "why";
      element("past").hidden = view !== "past";
      element("how").hidden = view !== "how";
    },
  };
}
