// The least that a test needs, so that the tests of DOM-free modules run as one plain script: a failed check throws,
// and the script ends with the list of what failed.

const failures: string[] = [];

export function test(name: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    failures.push(`${name}: ${(error as Error).message}`);
  }
}

export function equal(got: unknown, expected: unknown, about = ""): void {
  const [a, b] = [plain(got), plain(expected)];
  if (a !== b) throw new Error(`${about === "" ? "" : `${about}: `}expected ${b}, got ${a}`);
}

export function throws(body: () => unknown, part: string): void {
  try {
    body();
  } catch (error) {
    if ((error as Error).message.includes(part)) return;
    throw new Error(`expected an error with "${part}", got "${(error as Error).message}"`);
  }
  throw new Error(`expected an error with "${part}", got none`);
}

/** To be called last. */
export function finish(): void {
  if (failures.length > 0) throw new Error(`${failures.length} failed\n${failures.join("\n")}`);
}

/** JSON in which typed arrays are arrays and NaN is null, as in tests/golden_frames.json. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    ArrayBuffer.isView(part) ? Array.from(part as Float32Array) : part,
  );
}
