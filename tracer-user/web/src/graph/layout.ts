// Coordinates for a drawing, by dagre.
import { Graph, layout } from "@dagrejs/dagre";
import type { Arrow, Drawing, Node } from "./fold.ts";

export interface Placed {
  node: Node;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Routed {
  arrow: Arrow;
  points: { x: number; y: number }[];
}

export interface Plan {
  placed: Placed[];
  routed: Routed[];
  width: number;
  height: number;
}

const GOROUTINE_SIZE = { width: 210, height: 56 };
const OBJECT_SIZE = { width: 150, height: 40 };

/**
 * Left to right in the order of waiting. What is on the way back to the start of a cycle is laid out
 * the other way round, so that a cycle is two rows that meet at both ends instead of one long one.
 */
export function plan(drawing: Drawing): Plan {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 24, ranksep: 44, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of drawing.nodes) {
    graph.setNode(node.id, { ...(node.type === "object" ? OBJECT_SIZE : GOROUTINE_SIZE) });
  }
  const edges = drawing.arrows.map((arrow) => {
    const [v, w] = arrow.homeward ? [arrow.to, arrow.from] : [arrow.from, arrow.to];
    const edge = { v, w, name: arrow.label };
    graph.setEdge(edge);
    return edge;
  });
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const at = (id: string): Omit<Placed, "node"> => graph.node(id) as Omit<Placed, "node">;
  const back = drawing.arrows.find(({ homeward, to }) => homeward && to === drawing.nodes[0]?.id);
  // People read the upper row first: it is the way there, the lower one is the way back.
  const upsideDown = back !== undefined && at(back.from).y < at(back.to).y;
  const turned = <P extends { y: number }>(point: P): P => (upsideDown ? { ...point, y: height - point.y } : point);
  return {
    placed: drawing.nodes.map((node) => {
      const { x, y, width, height } = at(node.id);
      return turned({ node, x, y, width, height });
    }),
    routed: drawing.arrows.map((arrow, i) => {
      const { points } = graph.edge(edges[i]!) as { points: { x: number; y: number }[] };
      return { arrow, points: (arrow.homeward ? [...points].reverse() : points).map(turned) };
    }),
    width,
    height,
  };
}
