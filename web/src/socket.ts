// One connection to the server that comes back by itself.  Knows tokens, acknowledgements and silence; what the
// messages mean is the caller's business.

import {
  CLOSED_TOKEN,
  SUBPROTOCOL,
  decodeFrame,
  decodeText,
  encode,
  type Frame,
  type ServerMessage,
  type ViewerMessage,
} from "./protocol";

export type Link =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "gone"; since: number; next: number; reason: string } // Date.now() of the loss and of the next try
  | { state: "refused"; reason: string }; // the token was wrong or is missing

export interface Listener {
  link(link: Link): void;
  message(message: ServerMessage): void;
  frame(frame: Frame): void;
  failure(error: Error): void; // what came could not be understood
}

export interface Socket {
  send(message: ViewerMessage): void;
  retry(): void; // now instead of at the next try
  useToken(token: string): void;
}

const ACK_EVERY = 16; // of at most 32 unacknowledged frames
const SILENCE_MS = 5000; // the server says something every second
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export function openSocket(url: string, token: string | null, listener: Listener): Socket {
  let socket: WebSocket | null = null;
  let frames = 0;
  let acknowledged = 0;
  let heard = 0;
  let attempts = 0;
  let lostAt: number | null = null;
  let timer: number | undefined;

  function connect(): void {
    window.clearTimeout(timer);
    socket?.close();
    if (lostAt === null) listener.link({ state: "connecting" });
    frames = acknowledged = 0;
    heard = Date.now();
    const opened = new WebSocket(url, subprotocols(token));
    opened.binaryType = "arraybuffer";
    opened.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (opened === socket) receive(event.data);
    };
    opened.onclose = (event) => {
      if (opened === socket) lost(event.code, event.reason);
    };
    socket = opened;
  }

  function receive(data: string | ArrayBuffer): void {
    heard = Date.now();
    try {
      if (typeof data !== "string") {
        frames++;
        listener.frame(decodeFrame(data));
        if (frames - acknowledged >= ACK_EVERY) acknowledge();
        return;
      }
      const message = decodeText(data);
      if (message.type === "hello") {
        attempts = 0;
        lostAt = null;
        listener.link({ state: "open" });
      }
      listener.message(message);
      if (message.type === "status" && frames > acknowledged) acknowledge(); // or a quiet stream would look stalled
    } catch (error) {
      listener.failure(error as Error);
    }
  }

  function acknowledge(): void {
    acknowledged = frames;
    send({ type: "ack", frames });
  }

  function lost(code: number, reason: string): void {
    socket = null;
    if (code === CLOSED_TOKEN) {
      listener.link({ state: "refused", reason });
      return;
    }
    lostAt ??= Date.now();
    const wait = RETRY_MS[Math.min(attempts++, RETRY_MS.length - 1)];
    listener.link({ state: "gone", since: lostAt, next: Date.now() + wait, reason });
    timer = window.setTimeout(connect, wait);
  }

  function drop(): void {
    const silent = socket;
    lost(1006, "the server went silent");
    silent?.close();
  }

  function retry(): void {
    if (socket === null) connect();
  }

  function send(message: ViewerMessage): void {
    if (socket?.readyState === WebSocket.OPEN) socket.send(encode(message));
  }

  window.setInterval(() => {
    if (socket !== null && Date.now() - heard > SILENCE_MS) drop();
  }, 1000);
  window.addEventListener("online", retry);
  connect();

  return {
    send,
    retry,
    useToken(value) {
      token = value;
      connect();
    },
  };
}

/** What a connection offers: the one way in which a browser can show a token. */
export function subprotocols(token: string | null): string[] {
  return token === null ? [SUBPROTOCOL] : [SUBPROTOCOL, `token.${base64url(token)}`];
}

function base64url(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
