// The point that a visitor moves, by mouse, pen, finger or arrow keys, and its place at regular moments.

const INTERVAL_MS = 1000 / 60;
const MOST_AT_ONCE = 30; // moments; after a longer standstill of the page they begin anew
const SPEED = 0.45; // of keys, in widths a second
const GAIN = 8; // how quickly that speed is reached, per second
const REST_MS = 600; // unmoved for so long it rests, and is not read
const LULL_MS = 50; // without news for so long it stands still

type Place = readonly [number, number]; // x and y from 0, left and top, to 1

interface Moved {
  t: number; // performance.now()
  place: Place;
}

const KEYS: Record<string, Place> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export interface Sensor {
  readonly place: Place | null; // null: it was not moved yet
  /** To be called in each frame; whether it moves, so that another is wanted. */
  frame(): boolean;
}

/** `read` gets the place 60 times a second while it moves; `woken` is called when it begins to. */
export function createSensor(host: HTMLElement, read: (t: number, place: Place) => void, woken: () => void): Sensor {
  const held = new Set<string>();
  let moves: Moved[] = []; // from the one before the moment that is read next
  let speed: Place = [0, 0];
  let due = -Infinity;
  let frameAt = -Infinity;

  function move(t: number, x: number, y: number): void {
    const last = moves.at(-1)?.t ?? -Infinity;
    moves.push({ t: Math.max(t, last), place: [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))] });
    woken();
  }

  function pointed(event: PointerEvent): void {
    if (event.target !== host) return; // something lies over the pad
    const box = host.getBoundingClientRect();
    const events = event.type === "pointermove" ? event.getCoalescedEvents() : [];
    for (const { timeStamp, clientX, clientY } of events.length > 0 ? events : [event])
      move(timeStamp, (clientX - box.left) / box.width, (clientY - box.top) / box.height);
  }

  host.addEventListener("pointermove", pointed);
  host.addEventListener("pointerdown", (event) => {
    if (event.target === host) host.setPointerCapture(event.pointerId);
    pointed(event);
  });
  host.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.target !== host) return;
    event.preventDefault();
    held.add(event.key);
    if (moves.length === 0) move(performance.now(), 0.5, 0.5);
    woken();
  });
  host.addEventListener("keyup", (event) => held.delete(event.key));
  host.addEventListener("blur", () => held.clear());

  function steer(now: number): void {
    const seconds = Math.min(0.1, (now - frameAt) / 1000);
    const toward = [...held].reduce<Place>((sum, key) => [sum[0] + KEYS[key][0], sum[1] + KEYS[key][1]], [0, 0]);
    const share = Math.min(1, GAIN * seconds);
    const next = (k: 0 | 1) => speed[k] + share * (SPEED * toward[k] - speed[k]);
    speed = [next(0), next(1)];
    if (held.size === 0 && Math.hypot(...speed) < 0.01) speed = [0, 0];
    const last = moves.at(-1);
    if (last === undefined || Math.hypot(...speed) === 0) return;
    const wide = host.clientWidth / Math.max(1, host.clientHeight);
    move(now, last.place[0] + speed[0] * seconds, last.place[1] + speed[1] * seconds * wide);
  }

  /** Where it was at `t`, not before the first of `moves`. */
  function placeAt(t: number): Place {
    const after = moves.findIndex((moved) => moved.t >= t);
    if (after < 0) return moves.at(-1)!.place;
    if (after === 0) return moves[0].place;
    const [a, b] = [moves[after - 1], moves[after]];
    const share = (t - a.t) / Math.max(1e-6, b.t - a.t);
    const between = (k: 0 | 1) => a.place[k] + share * (b.place[k] - a.place[k]);
    return [between(0), between(1)];
  }

  return {
    get place() {
      return moves.at(-1)?.place ?? null;
    },
    frame() {
      const now = performance.now();
      steer(now);
      frameAt = now;
      const last = moves.at(-1);
      if (last === undefined || now - last.t > REST_MS) return held.size > 0;
      // News of the pointer may be late: while it comes, what lies beyond the newest is not read yet.
      const until = now - last.t < LULL_MS ? last.t : now;
      if (until - due > MOST_AT_ONCE * INTERVAL_MS) due = until;
      for (; due <= until; due += INTERVAL_MS) read(due, placeAt(due));
      const kept = moves.findLastIndex((moved) => moved.t <= due);
      moves = moves.slice(Math.max(0, kept));
      return true;
    },
  };
}
