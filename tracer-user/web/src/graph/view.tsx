// The wait graph of one finding, drawn: zoom, pan, and a click or Enter on a node shows its details.
import { select } from "d3-selection";
import { zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { blockingFrame, count, place, plural } from "../format.ts";
import type { Finding, Goroutine, SyncObject } from "../types.ts";
import { fold, type Drawing, type Node } from "./fold.ts";
import { plan, type Placed, type Routed } from "./layout.ts";
import { fit, shows } from "./viewport.ts";

interface Props {
  finding: Finding;
  goroutines: Map<number, Goroutine>;
  objects: Map<string, SyncObject>;
  onSelect: (node: Node) => void;
}

function labels(node: Node, goroutines: Map<number, Goroutine>): [string, string] {
  if (node.type === "object") return [node.kind, node.address];
  if (node.kind === "ring") return [`… ${count(node.count)} more`, "goroutines of the cycle"];
  const first = goroutines.get(node.goroutines[0]!);
  const site = first && blockingFrame(first.stack);
  const title = node.kind === "one" ? `goroutine ${node.goroutines[0]}` : `${count(node.count)} goroutines`;
  return [title, site ? `${shorten(site.function)} ${place(site)}` : (first?.wait_reason ?? "")];
}

function shorten(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function path({ points }: Routed): string {
  return points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

interface ShapeProps {
  at: Placed;
  text: [string, string];
  onSelect: () => void;
  onFocus: () => void;
}

function NodeShape({ at, text, onSelect, onFocus }: ShapeProps) {
  const { node, x, y, width, height } = at;
  const folded = node.type === "goroutines" && node.kind !== "one";
  const classes = ["node", node.type, node.inCycle && "cycle", folded && "folded"].filter(Boolean).join(" ");
  return (
    <g
      class={classes}
      transform={`translate(${x - width / 2} ${y - height / 2})`}
      tabindex={0}
      role="button"
      aria-label={`${text[0]} ${text[1]}${node.inCycle ? ", on the cycle" : ""}`}
      onClick={onSelect}
      onFocus={onFocus}
      onKeyDown={(event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          onSelect();
        }
      }}
    >
      {folded && <rect x={5} y={5} width={width} height={height} rx={6} class="behind" />}
      <rect width={width} height={height} rx={node.type === "object" ? height / 2 : 6} />
      <text x={width / 2} y={height / 2 - 4} class="title">
        {text[0]}
      </text>
      <text x={width / 2} y={height / 2 + 13} class="detail">
        {text[1].length > 32 ? `${text[1].slice(0, 31)}…` : text[1]}
      </text>
    </g>
  );
}

function caption({ cycleCount, foldedRing, folded }: Drawing): string {
  const parts = ["Solid arrows: waits for. Dashed: is held by."];
  if (cycleCount > 0) {
    const where = foldedRing > 0 ? `, ${count(foldedRing)} of them in one box` : "";
    parts.push(`${plural(cycleCount, "goroutine")} on the cycle (red)${where}.`);
  }
  if (folded > 0) parts.push(`${plural(folded, "goroutine")} folded with others that wait alike.`);
  return parts.join(" ");
}

export function GraphView({ finding, goroutines, objects, onSelect }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const canvas = useRef<SVGGElement>(null);
  const zooming = useRef<ZoomBehavior<SVGSVGElement, unknown> | null>(null);
  const [fits, setFits] = useState(true);
  const drawing = useMemo(() => fold(finding, objects), [finding, objects]);
  const drawn = useMemo(() => plan(drawing), [drawing]);
  // The process is looked at again every few seconds: the reader's place is kept while the same is drawn.
  const shape = [...drawing.nodes.map(({ id }) => id), ...drawing.arrows.map(({ from, to }) => `${from} ${to}`)].join();

  const showAll = (): void => {
    const { x, y, scale, whole } = fit(svg.current!.getBoundingClientRect(), drawn, drawn.placed[0] ?? { x: 0, y: 0 });
    setFits(whole);
    select(svg.current!).call(zooming.current!.transform, zoomIdentity.translate(x, y).scale(scale));
  };
  const by = (factor: number) => (): void => {
    select(svg.current!).call(zooming.current!.scaleBy, factor);
  };
  const reveal = (at: Placed): void => {
    const { x, y, k: scale } = zoomTransform(svg.current!);
    if (shows(svg.current!.getBoundingClientRect(), { x, y, scale }, at, at)) return;
    select(svg.current!).call(zooming.current!.translateTo, at.x, at.y);
  };

  useEffect(() => {
    zooming.current = zoom<SVGSVGElement, unknown>()
      .scaleExtent([0.05, 4])
      .on("zoom", (event) => canvas.current?.setAttribute("transform", String(event.transform)));
    select(svg.current!).call(zooming.current);
  }, []);
  useEffect(showAll, [shape]);

  return (
    <figure class="graph">
      <div class="graph-tools" role="group" aria-label="Zoom">
        <button type="button" onClick={by(1.4)} aria-label="Zoom in">+</button>
        <button type="button" onClick={by(1 / 1.4)} aria-label="Zoom out">−</button>
        <button type="button" onClick={showAll}>Fit</button>
      </div>
      <svg ref={svg} role="group" aria-label={`Wait graph: ${finding.summary}`}>
        <defs>
          {["plain", "hot"].map((kind) => (
            <marker id={`tip-${kind}`} class={`tip ${kind}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0L8 4L0 8z" />
            </marker>
          ))}
        </defs>
        <g ref={canvas}>
          {drawn.routed.map((route) => (
            <path
              class={`arrow ${route.arrow.inCycle ? "cycle" : ""} ${route.arrow.label === "held by" ? "held" : ""}`}
              d={path(route)}
              marker-end={`url(#tip-${route.arrow.inCycle ? "hot" : "plain"})`}
            >
              <title>{route.arrow.label}</title>
            </path>
          ))}
          {drawn.placed.map((at) => (
            <NodeShape
              key={at.node.id}
              at={at}
              text={labels(at.node, goroutines)}
              onSelect={() => onSelect(at.node)}
              onFocus={() => reveal(at)}
            />
          ))}
        </g>
      </svg>
      <figcaption>
        {caption(drawing)}
        {!fits && " Larger than this frame: drag, or go from box to box with Tab."}
      </figcaption>
    </figure>
  );
}
