// The keyboard: one table that the listener and the help dialog share.

import { element, make } from "./dom";

export interface Key {
  keys: string[]; // as KeyboardEvent.key
  shown: string;
  does: string;
  run: () => void;
}

const WRITING = "input, select, textarea, dialog";

export function listenToKeys(table: readonly Key[]): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as Element;
    if (target.closest(WRITING) !== null) return;
    if (event.key === " " && target.closest("button, summary, a") !== null) return; // presses what has the focus
    if (event.key.startsWith("Arrow") && target.closest("[role=tablist], [role=radiogroup]") !== null) return;
    const found = table.find(({ keys }) => keys.includes(event.key));
    if (found === undefined) return;
    event.preventDefault();
    found.run();
  });
}

export function fillHelp(table: readonly Key[]): void {
  for (const { shown, does } of table) {
    const line = make("div");
    const term = make("dt");
    for (const key of shown.split(" ")) term.append(make("kbd", "", key), " ");
    line.append(term, make("dd", "", does));
    element("help-keys").append(line);
  }
}
