// The wait graph of one finding, drawn: zoom, pan, and a click or Enter on a node shows its details.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior } from "d3-zoom";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { blockingFrame, count, place, plural } from "../format.ts";
import type { Finding, Goroutine, SyncObject } from "../types.ts";
import { fold, type Node } from "./fold.ts";
import { plan, type Placed, type Routed } from "./layout.ts";

interface Props {
  finding: Finding;
  goroutines: Map<number, Goroutine>;
  objects: Map<string, SyncObject>;
  onSelect: (node: Node) => void;
}

function labels(node: Node, goroutines: Map<number, Goroutine>): [string, string] {
  if (node.type === "object") return [node.kind, node.address];
  const first = goroutines.get(node.goroutines[0]!);
  const site = first && blockingFrame(first.stack);
  const title =
    node.goroutines.length === 1
      ? `goroutine ${node.goroutines[0]}`
      : `${count(node.goroutines.length)} goroutines`;
  return [title, site ? `${shorten(site.function)} ${place(site)}` : (first?.wait_reason ?? "")];
}

function shorten(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function path({ points }: Routed): string {
  return points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function NodeShape({ at, text, onSelect }: { at: Placed; text: [string, string]; onSelect: () => void }) {
  const { node, x, y, width, height } = at;
  const folded = node.type === "goroutines" && node.goroutines.length > 1;
  const classes = ["node", node.type, node.inCycle && "cycle", folded && "folded"].filter(Boolean).join(" ");
  return (
    <g
      class={classes}
      transform={`translate(${x - width / 2} ${y - height / 2})`}
      tabindex={0}
      role="button"
      aria-label={`${text[0]} ${text[1]}${node.inCycle ? ", on the cycle" : ""}`}
      onClick={onSelect}
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

export function GraphView({ finding, goroutines, objects, onSelect }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const canvas = useRef<SVGGElement>(null);
  const zooming = useRef<ZoomBehavior<SVGSVGElement, unknown> | null>(null);
  const drawing = useMemo(() => fold(finding, objects), [finding, objects]);
  const drawn = useMemo(() => plan(drawing), [drawing]);

  const fit = (): void => {
    const box = svg.current!.getBoundingClientRect();
    const scale = Math.min(1.4, box.width / drawn.width, box.height / drawn.height);
    const centred = zoomIdentity
      .translate((box.width - drawn.width * scale) / 2, (box.height - drawn.height * scale) / 2)
      .scale(scale);
    select(svg.current!).call(zooming.current!.transform, centred);
  };
  const by = (factor: number) => (): void => {
    select(svg.current!).call(zooming.current!.scaleBy, factor);
  };

  useEffect(() => {
    zooming.current = zoom<SVGSVGElement, unknown>()
      .scaleExtent([0.05, 4])
      .on("zoom", (event) => canvas.current?.setAttribute("transform", String(event.transform)));
    select(svg.current!).call(zooming.current);
    fit();
  }, [drawn]);

  const cycleSize = drawing.nodes.filter((node) => node.type === "goroutines" && node.inCycle).length;
  return (
    <figure class="graph">
      <div class="graph-tools" role="group" aria-label="Zoom">
        <button type="button" onClick={by(1.4)} aria-label="Zoom in">+</button>
        <button type="button" onClick={by(1 / 1.4)} aria-label="Zoom out">−</button>
        <button type="button" onClick={fit}>Fit</button>
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
            <NodeShape at={at} text={labels(at.node, goroutines)} onSelect={() => onSelect(at.node)} />
          ))}
        </g>
      </svg>
      <figcaption>
        Solid arrows: waits for. Dashed: is held by.
        {cycleSize > 0 && ` ${plural(cycleSize, "goroutine")} on the cycle (red).`}
        {drawing.folded > 0 && ` ${plural(drawing.folded, "goroutine")} folded into queues.`}
      </figcaption>
    </figure>
  );
}
