// Mouse, wheel and touch over the panels: hover moves the cursor, dragging pans, the wheel and two fingers zoom.

export interface GestureListener {
  hover(x: number | null): void; // CSS pixels from the left of the panels
  pan(pixels: number): void;
  zoom(factor: number, x: number): void;
  home(): void;
}

const DRAG_PX = 4;
const WHEEL_ZOOM = 0.0015;

export function listenToGestures(panels: HTMLElement, listener: GestureListener): void {
  const pointers = new Map<number, number>(); // id -> x
  let dragging = false;
  let startX = 0;

  const xOf = (event: MouseEvent) => event.clientX - panels.getBoundingClientRect().left;

  panels.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, xOf(event));
    startX = xOf(event);
    dragging = false;
  });

  panels.addEventListener("pointermove", (event) => {
    const x = xOf(event);
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      listener.hover(x);
      return;
    }
    pointers.set(event.pointerId, x);
    if (pointers.size === 2) {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const [spread, spreadBefore] = [Math.abs(x - other), Math.abs(before - other)];
      dragging = true;
      if (spread > 10 && spreadBefore > 10) listener.zoom(spreadBefore / spread, (x + other) / 2);
    } else if (dragging || Math.abs(x - startX) > DRAG_PX) {
      if (!dragging) panels.setPointerCapture(event.pointerId);
      dragging = true;
      listener.pan(before - x);
    }
  });

  const release = (event: PointerEvent) => {
    if (pointers.delete(event.pointerId) && !dragging) listener.hover(xOf(event));
  };
  panels.addEventListener("pointerup", release);
  panels.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  panels.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") listener.hover(null);
  });

  panels.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey) return; // the browser's own zoom
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) listener.pan(event.deltaX);
      else listener.zoom(Math.exp(event.deltaY * WHEEL_ZOOM), xOf(event));
    },
    { passive: false },
  );
  panels.addEventListener("dblclick", listener.home);
}
