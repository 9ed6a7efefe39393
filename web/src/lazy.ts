// Loads the views that most visits do not open.

import type * as views from "./views";
import type { Ask, WritingPane } from "./writing";

const MODULE: string = "/dist/views.js";
const AGAIN_MS = 2000;

export interface LazyViews {
  drawPicture: ReturnType<typeof views.createPicture>;
  drawWhy: ReturnType<typeof views.createWhy>;
  drawPast: ReturnType<typeof views.createPast>;
  drawHow: ReturnType<typeof views.createHow>;
  writing: WritingPane;
}

/** Gives the views, or null while they are on their way; `loaded` is called when they are there, or want to be drawn anew. */
export function createLazy(ask: Ask, loaded: () => void): () => LazyViews | null {
  let made: LazyViews | null = null;
  let askedAt = -Infinity;
  async function load(): Promise<void> {
    const module = (await import(MODULE)) as typeof views;
    made = {
      drawPicture: module.createPicture(),
      drawWhy: module.createWhy(loaded),
      drawPast: module.createPast(loaded),
      drawHow: module.createHow(),
      writing: module.createWritingPane(ask),
    };
    loaded();
  }
  return () => {
    if (made === null && performance.now() - askedAt > AGAIN_MS) {
      askedAt = performance.now();
      load().catch(() => undefined); // the server is gone: asked again as long as the view is open
    }
    return made;
  };
}
