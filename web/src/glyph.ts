// How a character shows where it stands alone: blanks get a sign.

import type { Group } from "./protocol";

const SIGNS: Record<string, string> = { " ": "\u2423", "\n": "\u21b5", "\t": "\u21e5", "\r": "\u240d" };

export function glyph(text: string): string {
  return SIGNS[text] ?? text;
}

export function vocabularyText(group: Group, id: number): string {
  return group.vocabulary?.[id] ?? "\ufffd";
}
