// Which column of a stream's outputs plays which part on the page, worked out once per group.

import type { Group } from "./protocol";

/** Columns of the forecast of one channel, nearest first; a bound that is not sent is -1. */
export interface Fan {
  ahead: number[];
  mean: number[];
  lower: number[];
  upper: number[];
}

export interface Roles {
  fans: Map<number, Fan>; // by channel
  score: number;
  alarm: number;
  drift: number;
  reason: number;
  channel: number; // to blame
  error: number;
  errorPersistence: number;
  surprise: number;
  bits: number;
  next: number[]; // token ids, likeliest first
  nextP: number[];
  values: number[]; // outputs that are nothing but numbers
}

export function rolesOf(group: Group): Roles {
  const column = (kind: string, channel = -1, ahead = -1) =>
    group.outputs.findIndex(
      (o) => o.kind === kind && (channel < 0 || o.channel === channel) && (ahead < 0 || o.ahead === ahead),
    );
  const ranked = (kind: string) =>
    group.outputs
      .map((output, index) => ({ output, index }))
      .filter(({ output }) => output.kind === kind)
      .sort((a, b) => a.output.ahead - b.output.ahead);
  const fans = new Map<number, Fan>();
  for (const { output, index } of ranked("forecast")) {
    const fan = fans.get(output.channel) ?? { ahead: [], mean: [], lower: [], upper: [] };
    fan.ahead.push(output.ahead);
    fan.mean.push(index);
    fan.lower.push(column("lower", output.channel, output.ahead));
    fan.upper.push(column("upper", output.channel, output.ahead));
    fans.set(output.channel, fan);
  }
  return {
    fans,
    score: column("score"),
    alarm: column("alarm"),
    drift: column("drift"),
    reason: column("reason"),
    channel: column("channel"),
    error: column("error"),
    errorPersistence: column("error_persistence"),
    surprise: column("surprise"),
    bits: column("bits"),
    next: ranked("next").map(({ index }) => index),
    nextP: ranked("next_p").map(({ index }) => index),
    values: ranked("value").map(({ index }) => index),
  };
}
