// Under the text: the network writes on, from the caret or from the newest character, and forgets on request.

import { element, make, write } from "./dom";
import { number } from "./format";
import { glyph, vocabularyText } from "./glyph";
import type { Written } from "./protocol";
import { shownRow, type Scene } from "./scene";

const PRIME = 60; // characters shown before what was written
const HINT = 8;

export interface Ask {
  write(key: string, after: number, temperature: number, length: number): void;
  stop(): void;
  reset(key: string): void;
}

export interface WritingPane {
  draw(scene: Scene): void;
  written(key: string, message: Written): void;
  failed(why: string): void; // the server refused, or is gone
}

type State = "idle" | "asked" | "writing" | "done" | "stopped" | "failed";

export function createWritingPane(ask: Ask): WritingPane {
  const pane = element("written");
  const button = element<HTMLButtonElement>("write");
  const temperature = element<HTMLInputElement>("temperature");
  const length = element<HTMLSelectElement>("length");
  const said = make("span");
  let scene: Scene | null = null;
  let state: State = "idle";
  let asked: { key: string; after: number; temperature: number } | null = null;
  let count = 0;
  let problem = "";
  const busy = () => state === "asked" || state === "writing";

  button.addEventListener("click", () => {
    if (busy()) {
      ask.stop();
      state = "stopped";
    } else if (scene !== null && shownRow(scene) >= 0) begin(scene, shownRow(scene));
    tell();
  });
  const reset = element<HTMLButtonElement>("reset");
  reset.addEventListener("click", () => scene !== null && ask.reset(scene.stream.key));
  temperature.addEventListener("input", tell);

  function begin({ stream, series, kind, begin: first }: Scene, row: number): void {
    asked = { key: stream.key, after: series.at(series.seq, row), temperature: Number(temperature.value) };
    state = "asked";
    count = 0;
    let prime = "";
    for (let k = Math.max(first, row - PRIME + 1); k <= row; k++) {
      if (series.at(series.missed, k) === 0) prime += vocabularyText(kind, series.at(series.x[0], k));
    }
    said.textContent = "";
    pane.replaceChildren(make("span", "soft", prime), said);
    pane.hidden = false;
    ask.write(asked.key, asked.after, asked.temperature, Number(length.value));
  }

  function tell(): void {
    write(element("temperature-value"), Number(temperature.value).toFixed(1));
    write(button, busy() ? "Stop" : "Write on");
    const words = {
      idle: "",
      asked: "asked",
      writing: `${count} characters`,
      done: `${count} characters`,
      stopped: `stopped after ${count} characters`,
      failed: problem,
    };
    const at = asked === null || busy() ? "" : ` at temperature ${number(asked.temperature, 1)}`;
    write(element("write-state"), words[state] + (state === "done" || state === "stopped" ? at : ""));
  }

  return {
    draw(now) {
      if (scene !== null && scene.stream.key !== now.stream.key) {
        if (busy()) ask.stop();
        state = "idle";
        pane.hidden = true;
      }
      scene = now;
      reset.disabled = button.disabled = false; // as they are until there is something to write on from
      element("writing").hidden = reset.hidden = !now.kind.writes;
      const row = shownRow(now);
      let tail = "";
      for (let k = Math.max(now.begin, row - HINT + 1); k <= row; k++) {
        tail += glyph(vocabularyText(now.kind, now.series.at(now.series.x[0], k)));
      }
      write(element("write-after"), tail);
      write(element("write-from"), now.cursor >= 0 ? "after the caret" : "after the newest");
      tell();
    },
    written(key, message) {
      if (scene === null || asked?.key !== key || asked.after !== message.after || !busy()) return;
      const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
      said.append(message.tokens.map((token) => vocabularyText(scene!.kind, token)).join(""));
      if (atEnd) pane.scrollTop = pane.scrollHeight;
      count += message.tokens.length;
      state = message.done ? "done" : "writing";
      tell();
    },
    failed(why) {
      if (!busy()) return;
      state = "failed";
      problem = why;
      tell();
    },
  };
}
