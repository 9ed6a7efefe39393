// "How it works": the words are in index.html, one text for sensors and one for text; the facts of this stream come
// from here, beside the shape of its sequences and one step taken slowly.

import type { Kind } from "./catalogue";
import { element, make } from "./dom";
import { withUnit } from "./format";
import type { Example } from "./protocol";
import type { Scene } from "./scene";
import { createShapes } from "./shapes";
import { createSlowly } from "./slowly";

/** `example`: the small network, null as long as the server has not sent it. */
export function createHow(): (scene: Scene, example: Example | null) => void {
  const drawShapes = createShapes(element("shapes"));
  const slowly = createSlowly();
  let explained: Kind | null = null;
  return (scene, example) => {
    if (explained !== scene.kind) explain(scene.kind);
    explained = scene.kind;
    drawShapes(scene);
    if (example !== null) slowly.show(example);
  };
}

function explain(kind: Kind): void {
  for (const part of element("how").querySelectorAll<HTMLElement>("[data-kind]"))
    part.hidden = part.dataset.kind !== kind.kind;
  const facts: [string, string][] =
    kind.kind === "tokens"
      ? [["alphabet", `${kind.vocabulary?.length ?? 0} characters`]]
      : [
          ["reads", channelsInWords(kind)],
          ["foretells", kind.channels[kind.target].name],
        ];
  const reach = kind.roles.fans.get(kind.target)?.ahead.at(-1);
  if (reach !== undefined)
    facts.push(["reaches", withUnit(String(reach), reach === 1 ? "sample ahead" : "samples ahead")]);
  facts.push([
    "hidden units shown",
    kind.layers > 1 ? `${kind.units}, ${kind.units / kind.layers} in each of ${kind.layers} layers` : `${kind.units}`,
  ]);
  facts.push(["each sample yields", `${kind.outputs.length} numbers: ${outputsInWords(kind)}`]);
  element("how-facts").replaceChildren(
    ...facts.map(([term, fact]) => {
      const line = make("div");
      line.append(make("dt", "", term), make("dd", "", fact));
      return line;
    }),
  );
}

function channelsInWords({ channels }: Kind): string {
  const names = channels.map(({ name, unit }) => (unit === "" ? name : `${name} (${unit})`));
  return names.length <= 12 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

/** "forecast 12, lower 12, upper 12, score": kinds with how many there are of each. */
function outputsInWords(kind: Kind): string {
  const counts = new Map<string, number>();
  for (const output of kind.outputs) counts.set(output.kind, (counts.get(output.kind) ?? 0) + 1);
  return [...counts].map(([name, n]) => name.replaceAll("_", " ") + (n === 1 ? "" : ` \u00d7\u202f${n}`)).join(", ");
}
