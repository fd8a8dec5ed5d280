// Which part of a drawing is looked at, and how large.

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

/** A point of the drawing is seen at `x + point.x * scale`, `y + point.y * scale`. */
export interface View extends Point {
  scale: number;
}

/** Below this scale the words in the boxes are too small to read. */
const READABLE = 0.75;
/** Above this one they shout. */
const LARGE = 1.4;

/**
 * The whole drawing in the middle of `frame`; where that is too small to read, `start` and what is
 * around it.
 */
export function fit(frame: Size, drawing: Size, start: Point): View & { whole: boolean } {
  const fitting = Math.min(LARGE, frame.width / drawing.width, frame.height / drawing.height);
  const scale = Math.max(READABLE, fitting);
  const along = (framed: number, drawn: number, at: number): number => {
    const spare = framed - drawn * scale;
    if (spare >= 0) return spare / 2;
    return Math.min(0, Math.max(spare, framed / 2 - at * scale));
  };
  return {
    x: along(frame.width, drawing.width, start.x),
    y: along(frame.height, drawing.height, start.y),
    scale,
    whole: scale === fitting,
  };
}

/** Whether a box of `size` around `centre` lies wholly inside `frame`. */
export function shows(frame: Size, { x, y, scale }: View, centre: Point, size: Size): boolean {
  const inside = (framed: number, offset: number, at: number, extent: number): boolean =>
    offset + (at - extent / 2) * scale >= 0 && offset + (at + extent / 2) * scale <= framed;
  return inside(frame.width, x, centre.x, size.width) && inside(frame.height, y, centre.y, size.height);
}
