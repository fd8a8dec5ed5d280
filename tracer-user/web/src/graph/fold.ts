// From a finding's edges to the nodes worth drawing: everything on a cycle, long queues folded
// into one node with a count.
import type { Edge, Finding, SyncObject } from "../types.ts";

export interface GoroutineNode {
  id: string;
  type: "goroutines";
  /** One goroutine, or a folded queue of them. */
  goroutines: number[];
  inCycle: boolean;
}

export interface ObjectNode {
  id: string;
  type: "object";
  address: string;
  kind: string;
  inCycle: boolean;
}

export type Node = GoroutineNode | ObjectNode;

export interface Arrow {
  from: string;
  to: string;
  label: "waits for" | "held by";
  inCycle: boolean;
}

export interface Drawing {
  nodes: Node[];
  arrows: Arrow[];
  /** Goroutines that are part of the finding but not drawn one by one. */
  folded: number;
}

/** Queues of at most this many goroutines are drawn one by one. */
const FOLD_ABOVE = 4;
/** More nodes than this help nobody; the rest is folded by what it waits for. */
const MOST_NODES = 150;

/** The goroutines that lie on a cycle of waits: those that reach themselves. */
export function onCycles(edges: Edge[]): Set<number> {
  const next = new Map<number, number[]>();
  for (const { from, to } of edges) {
    const targets = next.get(from);
    if (targets) targets.push(to);
    else next.set(from, [to]);
  }
  // Whoever is not waited for, or waits for nobody, is on no cycle: peel those off until none is
  // left. What remains lies on a cycle or between two.
  const waitedFor = new Map<number, number>();
  for (const { to } of edges) waitedFor.set(to, (waitedFor.get(to) ?? 0) + 1);
  const alive = new Set([...next.keys()].filter((goroutine) => waitedFor.has(goroutine)));
  const leaves = [...next.keys()].filter((goroutine) => !waitedFor.has(goroutine));
  while (leaves.length > 0) {
    for (const to of next.get(leaves.pop()!) ?? []) {
      const left = waitedFor.get(to)! - 1;
      waitedFor.set(to, left);
      if (left === 0) {
        alive.delete(to);
        leaves.push(to);
      }
    }
  }
  let changed = true;
  while (changed) {
    changed = false;
    for (const goroutine of alive) {
      if (!next.get(goroutine)!.some((to) => alive.has(to))) {
        alive.delete(goroutine);
        changed = true;
      }
    }
  }
  return alive;
}

const goroutineId = (goroutine: number): string => `g${goroutine}`;
const objectId = (address: string): string => `o${address}`;

export function fold(finding: Finding, objects: Map<string, SyncObject>): Drawing {
  const cycle = onCycles(finding.edges);
  const waits = new Map<number, Set<string>>();
  const wait = (goroutine: number, address: string): void => {
    const set = waits.get(goroutine);
    if (set) set.add(address);
    else waits.set(goroutine, new Set([address]));
  };
  const holds = new Map<string, Set<number>>();
  const holders = new Set<number>();
  for (const { from, object, to } of finding.edges) {
    wait(from, object);
    const set = holds.get(object);
    if (set) set.add(to);
    else holds.set(object, new Set([to]));
    holders.add(to);
  }
  // Whoever queues behind the finding's objects without being a member of it.
  for (const address of finding.objects) {
    for (const waiter of objects.get(address)?.waiters ?? []) wait(waiter, address);
  }
  for (const goroutine of [...finding.goroutines, ...holders]) {
    if (!waits.has(goroutine)) waits.set(goroutine, new Set());
  }

  const groups = new Map<string, number[]>();
  const nodes: Node[] = [];
  const nodeOf = new Map<number, string>();
  const drawAlone = (goroutine: number): void => {
    const id = goroutineId(goroutine);
    nodeOf.set(goroutine, id);
    nodes.push({ id, type: "goroutines", goroutines: [goroutine], inCycle: cycle.has(goroutine) });
  };
  for (const [goroutine, addresses] of waits) {
    if (holders.has(goroutine) && nodes.length < MOST_NODES) {
      drawAlone(goroutine);
      continue;
    }
    const key = [...addresses].sort().join(" ");
    const group = groups.get(key);
    if (group) group.push(goroutine);
    else groups.set(key, [goroutine]);
  }
  let folded = 0;
  const drawTogether = (key: string, goroutines: number[]): void => {
    const id = `q${key}`;
    for (const goroutine of goroutines) nodeOf.set(goroutine, id);
    nodes.push({ id, type: "goroutines", goroutines, inCycle: false });
    folded += goroutines.length;
  };
  const rest: number[] = [];
  for (const [key, goroutines] of [...groups].sort(([, a], [, b]) => b.length - a.length)) {
    if (nodes.length >= MOST_NODES) rest.push(...goroutines);
    else if (goroutines.length <= FOLD_ABOVE) goroutines.forEach(drawAlone);
    else drawTogether(key, goroutines);
  }
  if (rest.length > 0) drawTogether(" rest", rest);

  const drawn = new Set<string>();
  const arrows = new Map<string, Arrow>();
  const arrow = (from: string, to: string, label: Arrow["label"], inCycle: boolean): void => {
    const key = `${from} ${to}`;
    const old = arrows.get(key);
    arrows.set(key, { from, to, label, inCycle: inCycle || (old?.inCycle ?? false) });
  };
  for (const [goroutine, addresses] of waits) {
    for (const address of addresses) {
      const held = holds.get(address) ?? new Set();
      const objectInCycle = cycle.has(goroutine) && [...held].some((holder) => cycle.has(holder));
      if (!drawn.has(address)) {
        if (drawn.size >= MOST_NODES) continue;
        drawn.add(address);
        nodes.push({
          id: objectId(address),
          type: "object",
          address,
          kind: objects.get(address)?.kind ?? "object",
          inCycle: false,
        });
      }
      arrow(nodeOf.get(goroutine)!, objectId(address), "waits for", objectInCycle);
      for (const holder of held) {
        arrow(objectId(address), nodeOf.get(holder)!, "held by", objectInCycle && cycle.has(holder));
      }
    }
  }
  const inCycle = new Set([...arrows.values()].filter((a) => a.inCycle).map((a) => a.to));
  for (const node of nodes) {
    if (node.type === "object") node.inCycle = inCycle.has(node.id);
  }
  return { nodes, arrows: [...arrows.values()], folded };
}
