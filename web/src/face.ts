// What fills the middle of the page when there is no chart to draw: every state has a face.

import { element, write } from "./dom";
import type { Feed } from "./feed";
import type { Scene } from "./scene";

export type Face = "connecting" | "starting" | "empty" | "waiting" | "token" | "live";

export function faceOf(feed: Feed, wanted: string | null, scene: Scene | null): Face {
  const starting = feed.status?.state === "starting";
  if (feed.link.state === "refused") return "token";
  if (feed.hello === null) return "connecting";
  if (feed.catalogue.streams.length === 0) return starting ? "starting" : "empty";
  if (scene !== null && scene.newest >= 0) return "live";
  if (starting) return "starting";
  if (scene === null && wanted !== null && feed.catalogue.byKey(wanted) !== undefined) return "connecting";
  return "waiting";
}

export function drawFace(face: Face, feed: Feed, wanted: string | null): void {
  document.body.dataset.face = face;
  for (const part of element("face").querySelectorAll<HTMLElement>("[data-for]"))
    part.hidden = part.dataset.for !== face;
  switch (face) {
    case "starting":
      write(element("starting-detail"), feed.status?.detail ?? "");
      break;
    case "waiting": {
      const known = wanted !== null && feed.catalogue.byKey(wanted) !== undefined;
      write(element("waiting-title"), known ? `No sample of ${wanted} yet` : `There is no stream ${wanted ?? ""}`);
      write(
        element("waiting-hint"),
        known
          ? "The chart begins with the first one."
          : "It appears here as soon as something sends it. The others are in the list.",
      );
      break;
    }
    case "token":
      write(element("token-reason"), feed.link.state === "refused" ? feed.link.reason : "");
      break;
    case "connecting":
    case "empty":
    case "live":
      break;
  }
}
