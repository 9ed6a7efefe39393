// How canvases draw: colours and font read from the style sheet; and the choice of dark, light or what the system says.

export type Theme = "auto" | "light" | "dark";

export interface Look {
  font: string; // family
  paper: string;
  ink: string;
  soft: string; // text of second rank, baselines
  rule: string;
  blue: string;
  vermilion: string;
  series: string[]; // further channels
  // Activations from -127 to 127, by h + 128; the first is "not sampled".
  activationPixels: Uint32Array; // as ImageData wants them
  activationText: string[]; // the same for CSS, pale enough to read text on
  surpriseText: string[]; // for CSS, from 0 to MOST_BITS; pale likewise
}

const SERIES = ["green", "purple", "orange", "sky", "olive"];
const TEXT_STRENGTH = 0.45;
const SURPRISE_STRENGTH = 0.7;
export const MOST_BITS = 8; // where the colours of surprise end

type RGB = [number, number, number];

export function applyTheme(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function readLook(): Look {
  const probe = document.createElement("i");
  document.body.append(probe);
  const read = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const [neutral, low, high] = [read("neutral"), read("low"), read("high")].map(rgb);
  const look: Look = {
    font: getComputedStyle(document.body).fontFamily,
    paper: read("paper"),
    ink: read("ink"),
    soft: read("soft"),
    rule: read("rule"),
    blue: read("blue"),
    vermilion: read("vermilion"),
    series: SERIES.map(read),
    activationPixels: pixels(ramp(neutral, low, high, 1)),
    activationText: ["", ...ramp(rgb(read("paper")), low, high, TEXT_STRENGTH).map(css)],
    surpriseText: ramp(rgb(read("paper")), low, rgb(read("vermilion")), SURPRISE_STRENGTH).slice(127).map(css),
  };
  probe.remove();
  return look;
}

/** Where in the tables by h + 128 the colour of h is, when the ends of the colours stand for +-scale. */
export function colourIndex(h: number, scale: number): number {
  return h === -128 ? 0 : 128 + Math.max(-127, Math.min(127, Math.round(h / scale)));
}

/** The background of a character that surprised by so many bits. */
export function surpriseColour(bits: number, look: Look): string {
  const last = look.surpriseText.length - 1;
  return look.surpriseText[Math.round(last * Math.min(1, Math.max(0, bits / MOST_BITS)))] ?? "";
}

/** -127..127 from `low` through `neutral` to `high`, the ends mixed to `strength`. */
function ramp(neutral: RGB, low: RGB, high: RGB, strength: number): RGB[] {
  return Array.from({ length: 255 }, (_, k) => {
    const h = (k - 127) / 127;
    const end = h < 0 ? low : high;
    return neutral.map((from, c) => Math.round(from + (end[c] - from) * Math.abs(h) * strength)) as RGB;
  });
}

function pixels(look: RGB[]): Uint32Array {
  const packed = new Uint32Array(256);
  look.forEach(([r, g, b], k) => (packed[k + 1] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0));
  return packed;
}

function rgb(colour: string): RGB {
  const found = colour.match(/[\d.]+/g);
  if (found === null) throw new Error(`not a colour: ${colour}`);
  return found.slice(0, 3).map(Number) as RGB;
}

function css([r, g, b]: RGB): string {
  return `rgb(${r} ${g} ${b})`;
}
