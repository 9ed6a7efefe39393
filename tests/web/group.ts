// The least that a server says of streams of one kind; a test adds what it is about.

import type { Group } from "../../web/src/protocol";

export const GROUP: Group = {
  id: 0,
  kind: "sensor",
  channels: [{ name: "x", unit: "" }],
  target: 0,
  outputs: [],
  units: 0,
  layers: 1,
  reasons: [],
  vocabulary: null,
  mode: "synced",
  pictured: false,
  writes: false,
  explains: false,
};
