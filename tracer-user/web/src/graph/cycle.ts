// The cycle of a finding: who is on it, and in which order they wait.
import type { Edge, Finding, SyncObject } from "../types.ts";

/** Goroutines that wait in a circle: each for the next, the last for the first. */
export interface Ring {
  goroutines: number[];
  /**
   * `objects[i]` is what `goroutines[i]` waits on and the next one has to release. Fewer than
   * goroutines where the end of the ring is not known.
   */
  objects: string[];
  /** How many goroutines there are, listed or not. */
  count: number;
}

function successors(edges: Edge[]): Map<number, Edge[]> {
  const next = new Map<number, Edge[]>();
  for (const edge of edges) {
    const out = next.get(edge.from);
    if (out) out.push(edge);
    else next.set(edge.from, [edge]);
  }
  return next;
}

/** The edges that are left once whoever nobody in them waits for is peeled off, again and again. */
function peel(edges: Edge[]): Edge[] {
  const next = successors(edges);
  const waitedFor = new Map<number, number>();
  for (const { to } of edges) waitedFor.set(to, (waitedFor.get(to) ?? 0) + 1);
  const peeled = new Set([...next.keys()].filter((goroutine) => !waitedFor.has(goroutine)));
  // A set's iteration also meets what is added on the way.
  for (const goroutine of peeled) {
    for (const { to } of next.get(goroutine) ?? []) {
      const left = waitedFor.get(to)! - 1;
      waitedFor.set(to, left);
      if (left === 0) peeled.add(to);
    }
  }
  return edges.filter(({ from }) => !peeled.has(from));
}

const reversed = (edges: Edge[]): Edge[] => edges.map(({ from, object, to }) => ({ from: to, object, to: from }));

/** The goroutines that lie on a cycle of waits, or between two. */
export function onCycles(edges: Edge[]): Set<number> {
  return new Set(peel(reversed(peel(edges))).map(({ from }) => from));
}

/**
 * The ring at the heart of a finding, from its first goroutine on: a finding lists a cycle in cycle
 * order. The edges of a very long one are cut off; then the ring goes on from waiters to holders.
 */
export function ringOf(finding: Finding, objects: Map<string, SyncObject>): Ring | null {
  const start = finding.goroutines[0];
  if (start === undefined) return null;
  const next = successors(finding.edges);
  const ring: Ring = { goroutines: [], objects: [], count: 0 };
  let at = start;
  for (let i = 1; ; i++) {
    const out = next.get(at) ?? [];
    const edge = out.find(({ to }) => to === start) ?? out.find(({ to }) => to === finding.goroutines[i]);
    if (!edge) break;
    ring.goroutines.push(at);
    ring.objects.push(edge.object);
    at = edge.to;
    if (at === start) return { ...ring, count: ring.goroutines.length };
  }
  const cutOff = ring.goroutines.length === finding.edges.length && finding.count > finding.edges.length;
  if (finding.kind !== "lock-cycle" || !cutOff) return null;
  const whole = followHolders(ring, at, objects);
  const listed = [...new Set([...ring.goroutines, ...finding.goroutines])];
  return whole ?? { goroutines: listed, objects: ring.objects, count: finding.count };
}

/** `ring` continued at `at` until it closes; `null` where it is not told who is next. */
function followHolders(ring: Ring, at: number, objects: Map<string, SyncObject>): Ring | null {
  const waitsOn = new Map<number, SyncObject>();
  for (const object of objects.values()) {
    for (const waiter of object.waiters) waitsOn.set(waiter, object);
  }
  const start = ring.goroutines[0]!;
  const members = new Set(ring.goroutines);
  const addresses = [...ring.objects];
  while (at !== start) {
    const object = waitsOn.get(at);
    if (!object || object.holders.length !== 1 || members.has(at)) return null;
    members.add(at);
    addresses.push(object.address);
    at = object.holders[0]!.goroutine;
  }
  return { goroutines: [...members], objects: addresses, count: members.size };
}

/** The edges of a ring, as far as they are known. */
export function ringEdges({ goroutines, objects }: Ring): Edge[] {
  return objects.map((object, i) => ({
    from: goroutines[i]!,
    object,
    to: goroutines[(i + 1) % goroutines.length]!,
  }));
}
