// Numbers and times as the page writes them: four significant digits, and no jitter in width while a value moves.

export type Zone = "local" | "utc";

export const MINUS = "\u2212";
export const UNKNOWN = "\u2013";

const THOUSANDS = /\d(?=(\d{3})+(\.|$))/g;

/** Decimals that show four significant digits of values up to `size`. */
export function decimalsFor(size: number): number {
  if (!(size > 0)) return 2;
  return Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(size))));
}

export function number(value: number, decimals = decimalsFor(Math.abs(value))): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  const plain = size < 1e7 && (size === 0 || size >= 1e-5);
  const text = plain ? size.toFixed(decimals) : size.toExponential(3);
  const grouped = plain && size >= 1e4 ? text.replace(THOUSANDS, "$&\u202f") : text;
  return value < 0 && Number(text) !== 0 ? MINUS + grouped : grouped;
}

export function withUnit(text: string, unit: string): string {
  return unit === "" ? text : `${text}\u202f${unit}`;
}

/** A count in few letters: 950, 12.3k, 4.05M. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  if (value < 9.95) return value.toFixed(1);
  if (value < 999.5) return value.toFixed(0);
  const [size, letter] = value < 999_500 ? [value / 1e3, "k"] : [value / 1e6, "M"];
  return size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0) + letter;
}

/** A length of time in one unit: 0.4 ms, 12 s, 3 min, 5 h, 2 d. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return UNKNOWN;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.0095 ? 1 : 0)}\u202fms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)}\u202fs`;
  if (seconds < 99.5) return `${seconds.toFixed(0)}\u202fs`;
  if (seconds < 5940 && seconds !== 3600) return `${(seconds / 60).toFixed(0)}\u202fmin`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(0)}\u202fh`;
  return `${(seconds / 86_400).toFixed(0)}\u202fd`;
}

/** A rate of samples in words: 50/s, 12/min, 4/h. */
export function rate(hz: number): string {
  if (!(hz > 0)) return UNKNOWN;
  if (hz >= 0.95) return `${count(hz)}/s`;
  if (hz * 60 >= 0.95) return `${(hz * 60).toFixed(0)}/min`;
  return `${count(hz * 3600)}/h`;
}

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (value: number) => String(value).padStart(2, "0");

function parts(seconds: number, zone: Zone): Parts {
  const date = new Date(seconds * 1000);
  const ms = date.getUTCMilliseconds();
  const second = date.getUTCSeconds();
  return zone === "utc"
    ? {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth(),
        day: date.getUTCDate(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second,
        ms,
      }
    : {
        year: date.getFullYear(),
        month: date.getMonth(),
        day: date.getDate(),
        hour: date.getHours(),
        minute: date.getMinutes(),
        second,
        ms,
      };
}

export function year(seconds: number, zone: Zone): string {
  return String(parts(seconds, zone).year);
}

export function day(seconds: number, zone: Zone): string {
  const at = parts(seconds, zone);
  return `${at.day}\u202f${MONTHS[at.month]}`;
}

export function date(seconds: number, zone: Zone): string {
  return `${day(seconds, zone)}\u202f${year(seconds, zone)}`;
}

/** Time of day, as finely as rows `step` seconds apart need it. */
export function clock(seconds: number, zone: Zone, step: number): string {
  const at = parts(seconds, zone);
  const minutes = `${two(at.hour)}:${two(at.minute)}`;
  if (step >= 60) return minutes;
  if (step >= 1) return `${minutes}:${two(at.second)}`;
  return `${minutes}:${two(at.second)}.${String(at.ms)
    .padStart(3, "0")
    .slice(0, step >= 0.1 ? 1 : 3)}`;
}

export function moment(seconds: number, zone: Zone, step: number): string {
  return Number.isFinite(seconds) ? `${date(seconds, zone)} ${clock(seconds, zone, step)}` : UNKNOWN;
}
