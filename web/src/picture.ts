// What a stream looks like: an image or a canvas of points that move, with what the network makes of it.

import { context, element, fit, make, write } from "./dom";
import type { Mode, Picture, Spot } from "./protocol";
import type { Scene } from "./scene";
import type { Look } from "./theme";

const TRAIL = 60;
const SHORT = 24; // letters that fit in large type
const UNREAD_OPACITY = 0.75;
const NARROW_HEIGHT = 0.42; // of the screen, where the words are below the picture

export function createPicture(): (scene: Scene, look: Look) => void {
  const frame = element("picture-frame");
  const canvas = element<HTMLCanvasElement>("picture-canvas");
  const ctx = context(canvas);
  const bars: { root: HTMLElement; text: HTMLElement; bar: HTMLElement; share: HTMLElement }[] = [];
  const below = matchMedia("(max-width: 799px)");
  const trails = new Map<string, { x: number; y: number }[]>();
  let drawn: { picture: Picture; look: Look; width: number; height: number } | null = null;
  let key = "";

  function draw(picture: Picture, look: Look, width: number, height: number): void {
    const { image } = picture;
    const shape = image === null ? 1 : image.width / image.height;
    const [w, h] = shape > width / height ? [width, width / shape] : [height * shape, height];
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
    fit(canvas, w, h);
    const ratio = window.devicePixelRatio;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, w, h);
    if (image !== null) drawImage(image, look, w, h);
    if (image !== null && picture.row !== null) drawUnread(((picture.row + 1) / image.height) * h, look, w, h);
    picture.points.forEach((point, k) => drawPoint(point, look.series[k % look.series.length], look, w, h));
  }

  function drawImage(image: NonNullable<Picture["image"]>, look: Look, w: number, h: number): void {
    const grey = Uint8Array.from(atob(image.pixels), (character) => character.charCodeAt(0));
    const pixels = new OffscreenCanvas(image.width, image.height);
    const data = new ImageData(image.width, image.height);
    const [paper, ink] = [look.paper, look.ink].map((colour) => (colour.match(/\d+/g) ?? []).slice(0, 3).map(Number));
    grey.forEach((value, k) => {
      for (let c = 0; c < 3; c++) data.data[4 * k + c] = paper[c] + ((ink[c] - paper[c]) * value) / 255;
      data.data[4 * k + 3] = 255;
    });
    pixels.getContext("2d")!.putImageData(data, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(pixels, 0, 0, w, h);
  }

  function drawUnread(top: number, look: Look, w: number, h: number): void {
    ctx.globalAlpha = UNREAD_OPACITY;
    ctx.fillStyle = look.paper;
    ctx.fillRect(0, top, w, h - top);
    ctx.globalAlpha = 1;
    ctx.fillStyle = look.blue;
    ctx.fillRect(0, Math.min(h - 2, top - 1), w, 2);
  }

  function drawPoint(point: Spot, colour: string, look: Look, w: number, h: number): void {
    const trail = trails.get(point.name) ?? [];
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.globalAlpha = 0.5;
    ctx.beginPath();
    for (const { x, y } of trail) ctx.lineTo(x * w, y * h);
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.arc(point.x * w, point.y * h, 5, 0, 2 * Math.PI);
    ctx.fill();
    ctx.fillStyle = look.ink;
    ctx.font = `12px ${look.font}`;
    const right = point.x < 0.75;
    ctx.textAlign = right ? "left" : "right";
    ctx.fillText([point.name, point.label].filter(Boolean).join(": "), point.x * w + (right ? 9 : -9), point.y * h + 4);
  }

  function remember(points: Spot[]): void {
    for (const { name, x, y } of points) {
      const trail = trails.get(name) ?? [];
      trail.push({ x, y });
      if (trail.length > TRAIL) trail.shift();
      trails.set(name, trail);
    }
    for (const name of trails.keys()) if (!points.some((point) => point.name === name)) trails.delete(name);
  }

  function tell({ text, truth, likely, step, reads, emits }: Picture, mode: Mode): void {
    write(element("picture-text"), text);
    element("picture-text").className = text.length > SHORT ? "long" : "big";
    const verdict = element("picture-truth");
    verdict.hidden = truth === "";
    const right = text === truth;
    const open = !right && (!emits || truth.startsWith(text)); // it may still come to it
    verdict.dataset.right = open ? "" : String(right);
    write(verdict, right ? "\u2713 right" : open ? `should become ${truth}` : `\u2717 should be ${truth}`);
    while (bars.length < likely.length) bars.push(newBar());
    bars.forEach(({ root, text: name, bar, share }, k) => {
      const guess = likely[k];
      root.hidden = guess === undefined;
      if (guess === undefined) return;
      write(name, guess.text);
      bar.style.width = `${100 * Math.min(1, Math.max(0, guess.p))}%`;
      write(share, `${(100 * guess.p).toFixed(guess.p < 0.0995 ? 1 : 0)}\u202f%`);
      root.classList.toggle("right", guess.text === truth);
    });
    element("picture-step").hidden = mode === "synced"; // its sequence has no steps to tell apart
    write(
      element("picture-step"),
      `step ${step + 1} of its sequence: ${reads ? "reads" : "reads nothing"}, ${emits ? "says" : "says nothing yet"}`,
    );
  }

  function newBar(): (typeof bars)[number] {
    const made = { root: make("li", "guess"), text: make("span", "word"), bar: make("span", "bar"), share: make("span", "share") };
    const track = make("span", "track");
    track.append(made.bar);
    made.root.append(made.text, track, made.share);
    element("picture-likely").append(made.root);
    return made;
  }

  return ({ stream, kind, picture }, look) => {
    element("picture-none").hidden = picture !== null;
    element("picture-beside").hidden = picture === null;
    frame.hidden = picture === null || (picture.image === null && picture.points.length === 0);
    if (picture === null) return;
    if (key !== stream.key) trails.clear();
    key = stream.key;
    const width = frame.clientWidth;
    const height = below.matches ? NARROW_HEIGHT * window.innerHeight : frame.clientHeight;
    const fresh = drawn?.picture !== picture;
    if (!fresh && drawn?.look === look && drawn.width === width && drawn.height === height) return;
    if (fresh) remember(picture.points);
    if (!frame.hidden) draw(picture, look, width, height);
    if (fresh) tell(picture, kind.mode);
    drawn = { picture, look, width, height };
  };
}
