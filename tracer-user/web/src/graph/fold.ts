// From a finding's edges to the nodes worth drawing: the cycle first, the middle of a long one
// folded into one node, and whoever waits alike folded into one node with a count.
import type { Edge, Finding, SyncObject } from "../types.ts";
import { onCycles, ringEdges, ringOf, type Ring } from "./cycle.ts";

export interface GoroutineNode {
  id: string;
  type: "goroutines";
  /** One goroutine, a queue of them, or the folded part of a cycle. */
  kind: "one" | "alike" | "ring";
  /** The goroutines it stands for, as far as they are listed. */
  goroutines: number[];
  /** How many it stands for. */
  count: number;
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
  /** Whether it is on the way back to the cycle's first goroutine. */
  homeward: boolean;
}

export interface Drawing {
  /** A cycle's first, in the order in which they wait. */
  nodes: Node[];
  arrows: Arrow[];
  /** Goroutines on the cycle, drawn one by one or not. */
  cycleCount: number;
  /** Goroutines of the cycle that one node stands for. */
  foldedRing: number;
  /** Other goroutines that are not drawn one by one. */
  folded: number;
}

/** Goroutines that wait alike and are at most this many are drawn one by one. */
const FOLD_ABOVE = 4;
/** So is a cycle of at most this many. */
const FOLD_RING_ABOVE = 12;
/** Of a longer cycle, so many are drawn at its start and at its end. */
const RING_START = 3;
const RING_END = 2;
/** More nodes than this help nobody; the rest is folded by what it waits for. */
const MOST_NODES = 150;

const goroutineId = (goroutine: number): string => `g${goroutine}`;
const objectId = (address: string): string => `o${address}`;
const RING_ID = "ring";
const arrowKey = (from: string, to: string): string => `${from} ${to}`;

/** Who waits on what, and who has to release it. */
interface Relations {
  waits: Map<number, Set<string>>;
  holders: Map<string, Set<number>>;
}

function add<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function relate(finding: Finding, edges: Edge[], objects: Map<string, SyncObject>): Relations {
  const waits = new Map<number, Set<string>>();
  const holders = new Map<string, Set<number>>();
  for (const { from, object, to } of edges) {
    add(waits, from, object);
    add(holders, object, to);
  }
  // Whoever queues behind these objects without being a member of the finding.
  for (const address of new Set([...finding.objects, ...holders.keys()])) {
    for (const waiter of objects.get(address)?.waiters ?? []) add(waits, waiter, address);
  }
  for (const goroutine of [...finding.goroutines, ...edges.map(({ to }) => to)]) {
    if (!waits.has(goroutine)) waits.set(goroutine, new Set());
  }
  return { waits, holders };
}

/** What is drawn so far, and which node stands for whom. */
class Sketch {
  readonly nodes: Node[] = [];
  readonly ofGoroutine = new Map<number, string>();
  readonly ofObject = new Map<string, string>();
  private readonly objects: Map<string, SyncObject>;

  constructor(objects: Map<string, SyncObject>) {
    this.objects = objects;
  }

  one(goroutine: number, inCycle: boolean): void {
    this.group(goroutineId(goroutine), "one", [goroutine], 1, inCycle);
  }

  group(id: string, kind: GoroutineNode["kind"], goroutines: number[], count: number, inCycle: boolean): void {
    for (const goroutine of goroutines) this.ofGoroutine.set(goroutine, id);
    this.nodes.push({ id, type: "goroutines", kind, goroutines, count, inCycle });
  }

  /** Lets the node `id` stand for an object as well, unless that is drawn. */
  hide(address: string, id: string): void {
    if (!this.ofObject.has(address)) this.ofObject.set(address, id);
  }

  object(address: string): void {
    if (this.ofObject.has(address)) return;
    const kind = this.objects.get(address)?.kind ?? "object";
    this.ofObject.set(address, objectId(address));
    this.nodes.push({ id: objectId(address), type: "object", address, kind, inCycle: false });
  }
}

/** Draws the ring; returns its arrows on the way back to its first goroutine. */
function drawRing({ goroutines, objects, count }: Ring, sketch: Sketch): Set<string> {
  const closes = objects.length === goroutines.length;
  const folds = count > FOLD_RING_ABOVE;
  const start = folds ? RING_START : goroutines.length;
  const end = folds && closes ? goroutines.length - RING_END : goroutines.length;
  const drawOne = (i: number): void => {
    sketch.one(goroutines[i]!, true);
    sketch.object(objects[i]!);
  };
  for (let i = 0; i < start; i++) drawOne(i);
  if (folds) {
    const middle = goroutines.slice(start, end);
    sketch.group(RING_ID, "ring", middle, count - start - (goroutines.length - end), true);
    // Its last one waits on what the next one, which is drawn, has to release.
    if (closes) sketch.object(objects[end - 1]!);
    for (const address of objects.slice(start, end)) sketch.hide(address, RING_ID);
    for (let i = end; i < goroutines.length; i++) drawOne(i);
  }
  const order = sketch.nodes.map((node) => node.id);
  const turn = folds ? order.indexOf(RING_ID) : order.length / 2;
  return new Set(order.slice(turn).map((id, i) => arrowKey(id, order[turn + i + 1] ?? order[0]!)));
}

/** Draws whoever is not drawn yet, those that wait and hold alike together; returns how many were. */
function drawOthers({ waits, holders }: Relations, cycle: Set<number>, sketch: Sketch): number {
  const holds = new Map<number, Set<string>>();
  for (const [address, them] of holders) {
    for (const holder of them) add(holds, holder, sketch.ofObject.get(address) ?? address);
  }
  const groups = new Map<string, number[]>();
  for (const [goroutine, addresses] of waits) {
    if (sketch.ofGoroutine.has(goroutine)) continue;
    const targets = [...addresses].map((address) => sketch.ofObject.get(address) ?? address);
    const key = [...targets.sort(), "|", ...[...(holds.get(goroutine) ?? [])].sort()].join(" ");
    const group = groups.get(key);
    if (group) group.push(goroutine);
    else groups.set(key, [goroutine]);
  }
  let folded = 0;
  const rest: number[] = [];
  const together = (key: string, members: number[]): void => {
    sketch.group(`q${key}`, "alike", members, members.length, members.every((member) => cycle.has(member)));
    folded += members.length;
  };
  for (const [key, members] of [...groups].sort(([, a], [, b]) => b.length - a.length)) {
    if (sketch.nodes.length >= MOST_NODES) for (const member of members) rest.push(member);
    else if (members.length <= FOLD_ABOVE) members.forEach((member) => sketch.one(member, cycle.has(member)));
    else together(key, members);
  }
  if (rest.length > 0) together(" rest", rest);
  return folded;
}

function drawArrows({ waits, holders }: Relations, cycle: Set<number>, homeward: Set<string>, sketch: Sketch): Arrow[] {
  const arrows = new Map<string, Arrow>();
  const arrow = (from: string, to: string, label: Arrow["label"], inCycle: boolean): void => {
    const key = arrowKey(from, to);
    if (from === to) return;
    const before = arrows.get(key)?.inCycle ?? false;
    arrows.set(key, { from, to, label, inCycle: inCycle || before, homeward: homeward.has(key) });
  };
  for (const [goroutine, addresses] of waits) {
    for (const address of addresses) {
      if (!sketch.ofObject.has(address) && sketch.nodes.length >= 2 * MOST_NODES) continue;
      sketch.object(address);
      const at = sketch.ofObject.get(address)!;
      const held = [...(holders.get(address) ?? [])];
      const inCycle = cycle.has(goroutine) && held.some((holder) => cycle.has(holder));
      arrow(sketch.ofGoroutine.get(goroutine)!, at, "waits for", inCycle);
      for (const holder of held) arrow(at, sketch.ofGoroutine.get(holder)!, "held by", inCycle && cycle.has(holder));
    }
  }
  return [...arrows.values()];
}

export function fold(finding: Finding, objects: Map<string, SyncObject>): Drawing {
  const ring = ringOf(finding, objects);
  const edges = ring ? [...finding.edges, ...ringEdges(ring)] : finding.edges;
  const relations = relate(finding, edges, objects);
  const cycle = onCycles(edges);
  for (const goroutine of ring?.goroutines ?? []) cycle.add(goroutine);

  const sketch = new Sketch(objects);
  const homeward = ring ? drawRing(ring, sketch) : new Set<string>();
  const folded = drawOthers(relations, cycle, sketch);
  const arrows = drawArrows(relations, cycle, homeward, sketch);
  if (ring && ring.objects.length < ring.goroutines.length) {
    // Its end is not listed, but that it closes is what the finding says.
    const first = goroutineId(ring.goroutines[0]!);
    arrows.push({ from: RING_ID, to: first, label: "waits for", inCycle: true, homeward: true });
  }
  const inCycle = new Set(arrows.filter((a) => a.inCycle).map((a) => a.to));
  for (const node of sketch.nodes) {
    if (node.type === "object") node.inCycle = inCycle.has(node.id);
  }
  const onCycle = sketch.nodes.filter((node) => node.type === "goroutines").filter((node) => node.inCycle);
  return {
    nodes: sketch.nodes,
    arrows,
    cycleCount: onCycle.reduce((sum, node) => sum + node.count, 0),
    foldedRing: onCycle.find((node) => node.kind === "ring")?.count ?? 0,
    folded,
  };
}
