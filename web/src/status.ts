// Header and footer: is it alive, how fast, and what was refused.

import { isStale, silence_s, type Stream } from "./catalogue";
import { element, make, write } from "./dom";
import type { Feed } from "./feed";
import { clock, count, duration, UNKNOWN, type Zone } from "./format";
import type { Status } from "./protocol";

const BEHIND_S = 1;
const NOTICE_MS = 8000;

export interface StatusBar {
  draw(feed: Feed, stream: Stream | null, waiting: number | null, zone: Zone): void; // waiting: null unless paused
  say(text: string): void;
}

export function createStatusBar(): StatusBar {
  const link = element("link");
  const word = element("link-word");
  const notice = element("notice");
  const again = make("button", "", "Try now");
  const noticeText = make("span");
  notice.append(noticeText, again);
  again.type = "button";
  const refused = element("refused");
  refused.addEventListener("click", () => (refused.ariaExpanded = String(refused.ariaExpanded !== "true")));
  let said = "";
  let saidAt = -Infinity;

  const isFresh = () => performance.now() - saidAt < NOTICE_MS;

  function drawNotice(feed: Feed, zone: Zone): void {
    const now = feed.link;
    let text = isFresh() ? said : "";
    if (now.state === "gone") {
      const [since, wait] = [(Date.now() - now.since) / 1000, Math.max(0, (now.next - Date.now()) / 1000)];
      const next = wait < 0.5 ? "trying now" : `next try in ${wait.toFixed(0)}\u202fs`;
      text = `Server gone since ${clock(now.since / 1000, zone, 1)} (${duration(since)}), ${next}.`;
      text += " What was received stays here.";
      if (now.reason !== "") text += ` Reason: ${now.reason}.`;
    }
    write(noticeText, text);
    again.hidden = now.state !== "gone";
    again.onclick = feed.retry;
    notice.hidden = text === "";
  }

  return {
    draw(feed, stream, waiting, zone) {
      const [state, text] = linkWord(feed, stream, waiting);
      link.dataset.link = state;
      write(word, text);
      write(element("announcement"), isFresh() ? said : SPOKEN[state]);
      const { hello, status } = feed;
      write(element("server-name"), hello === null ? "" : hello.name);
      const known = status !== null && feed.link.state === "open";
      write(element("rate"), known ? `${count(status.samples_per_s)}/s` : UNKNOWN);
      drawLatency(feed);
      element("pause").setAttribute("aria-pressed", String(waiting !== null));
      write(element("pause-word"), waiting === null ? "Pause" : "Resume");
      const badge = element("badge");
      badge.hidden = waiting === null;
      write(badge, waiting === null ? "" : waiting < 1000 ? String(waiting) : count(waiting));
      badge.title = "samples that wait";
      drawNotice(feed, zone);
      write(element("sheet-name"), stream?.key ?? "");
      const streams = feed.catalogue.streams.length;
      const speed = known ? ` \u00b7 ${count(status.samples_per_s)}/s` : "";
      write(element("sheet-count"), `${streams} stream${streams === 1 ? "" : "s"}${speed} \u25b4`);
      if (status !== null) drawInputs(status, zone);
    },
    say(text) {
      said = text;
      saidAt = performance.now();
    },
  };
}

type LinkState = "connecting" | "live" | "late" | "paused" | "gone";

// Without the numbers, which would be said again every second.
const SPOKEN: Record<LinkState, string> = {
  connecting: "connecting",
  live: "live",
  late: "no new data",
  paused: "paused",
  gone: "server gone",
};

function linkWord(feed: Feed, stream: Stream | null, waiting: number | null): [LinkState, string] {
  switch (feed.link.state) {
    case "connecting":
      return ["connecting", "connecting"];
    case "gone":
      return ["gone", "server gone"];
    case "refused":
      return ["gone", "not allowed"];
    case "open":
      break;
  }
  if (feed.hello === null) return ["connecting", "connecting"];
  if (waiting !== null) return ["paused", "paused"];
  if (feed.status?.state === "starting") return ["connecting", feed.status.detail || "starting"];
  const behind = feed.latency.behind_s();
  if (behind > BEHIND_S) return ["late", `behind by ${duration(behind)}`];
  const now = feed.latency.serverNow_s();
  if (stream !== null && isStale(stream, now)) return ["late", `no data for ${duration(silence_s(stream, now))}`];
  return ["live", "live"];
}

/** From arrival at the server to this screen; until something was drawn, to the way out of the server. */
function drawLatency(feed: Feed): void {
  const { latency, status } = feed;
  const drawn = Number.isFinite(latency.quantile_s(0.5));
  write(element("latency-p50"), duration(drawn ? latency.quantile_s(0.5) : (status?.latency_p50_s ?? NaN)));
  write(element("latency-p99"), duration(drawn ? latency.quantile_s(0.99) : (status?.latency_p99_s ?? NaN)));
  element("latency-box").title =
    "from a sample's arrival at the server to its picture on this screen, median and 99 of 100; " +
    `of that in the server ${duration(status?.latency_p50_s ?? NaN)} and ${duration(status?.latency_p99_s ?? NaN)}`;
}

function drawInputs(status: Status, zone: Zone): void {
  const sources = element("sources");
  const text = status.sources.map(({ name, state, detail }) => `${name}\n${state}\n${detail}`).join("\n");
  if (sources.dataset.text !== text) {
    sources.dataset.text = text;
    sources.replaceChildren(
      ...status.sources.map(({ name, state, detail }) => {
        const source = make("span", "source", name);
        source.dataset.state = state;
        source.title = detail === "" ? state : `${state}: ${detail}`;
        const told = detail !== "" && state !== "ended" ? `${state}: ${detail}` : state;
        if (state !== "running") source.append(make("small", "", told));
        return source;
      }),
    );
  }
  const { total, kinds, last } = status.refused;
  const refused = element("refused");
  refused.hidden = total === 0;
  if (total === 0) return;
  const listed = Object.entries(kinds)
    .map(([kind, n]) => `${kind} ${n}`)
    .join(", ");
  const newest = last === null ? "" : ` \u00b7 last at ${clock(last.t, zone, 1)}, ${last.where}: ${last.error}`;
  write(refused, `${total} refused (${listed})${newest}`);
}
