// web/src/protocol.ts, held to tests/golden_frames.json, which the server is held to as well.

import golden from "../golden_frames.json";
import { decodeFrame, decodeText, encode, type Chunk, type ViewerMessage } from "../../web/src/protocol";
import { equal, finish, test, throws } from "./check";

for (const { name, message } of golden.to_viewer) {
  test(`reads ${name}`, () => equal(decodeText(JSON.stringify(message)), message));
}

for (const { name, message } of golden.from_viewer) {
  test(`writes ${name}`, () => equal(sorted(JSON.parse(encode(message as ViewerMessage))), sorted(message)));
}

for (const { name, message, hex } of golden.binary) {
  test(`reads ${name}`, () => {
    const frame = decodeFrame(bytes(hex));
    if (frame.kind === "samples") equal({ ...frame, chunks: frame.chunks.map(rows) }, message);
    else equal(sorted({ ...frame, n: undefined }), sorted(message));
  });
}

test("a message of another version is refused in words", () => {
  throws(
    () => decodeText('{"type": "hello", "version": 2}'),
    "the server speaks version 2, this page 1: load the page again",
  );
  throws(() => decodeFrame(bytes("0102".padEnd(32, "0"))), "frame of version 2, this page reads 1");
  throws(() => decodeFrame(bytes("0901".padEnd(32, "0"))), "unknown frame kind 9");
  throws(() => decodeText('{"type": "news"}'), "unknown message type");
});

finish();

/** A chunk as the golden file has it: one list for each column, and for each row of h. */
function rows(chunk: Chunk): unknown {
  const columns = (flat: Float32Array, count: number) =>
    Array.from({ length: count }, (_, c) => flat.slice(c * chunk.n, (c + 1) * chunk.n));
  return {
    stream: chunk.stream,
    first: chunk.first,
    t: chunk.t,
    x: columns(chunk.x, chunk.channels),
    y: columns(chunk.y, chunk.outputs),
    h: Array.from({ length: chunk.n }, (_, k) => chunk.h.slice(k * chunk.units, (k + 1) * chunk.units)),
    arrived: chunk.arrived,
    flags: chunk.history ? 1 : 0,
  };
}

function sorted(value: object): unknown {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function bytes(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer as ArrayBuffer;
}
