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

export function plan(drawing: Drawing): Plan {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 24, ranksep: 56, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of drawing.nodes) {
    graph.setNode(node.id, { ...(node.type === "object" ? OBJECT_SIZE : GOROUTINE_SIZE) });
  }
  for (const arrow of drawing.arrows) graph.setEdge(arrow.from, arrow.to);
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    placed: drawing.nodes.map((node) => {
      const at = graph.node(node.id) as { x: number; y: number; width: number; height: number };
      return { node, x: at.x, y: at.y, width: at.width, height: at.height };
    }),
    routed: drawing.arrows.map((arrow) => ({
      arrow,
      points: (graph.edge(arrow.from, arrow.to) as { points: { x: number; y: number }[] }).points,
    })),
    width: size.width ?? 0,
    height: size.height ?? 0,
  };
}
