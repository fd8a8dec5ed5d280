// One finding: its words, its graph, and the evidence behind whatever is clicked.
import { useMemo, useState } from "preact/hooks";
import { count, kindWords, place, waitWords } from "./format.ts";
import type { Node } from "./graph/fold.ts";
import { GraphView } from "./graph/view.tsx";
import { StackList } from "./stacks.tsx";
import { Story } from "./story.tsx";
import { described, useGoroutines } from "./goroutines.ts";
import type { Finding, Goroutine, Overview, SyncObject } from "./types.ts";

/** More edges than this are in the graph, not in the list of words beside it. */
const LISTED_EDGES = 20;
const LISTED_GOROUTINES = 10;

function GoroutineDetail({ goroutine }: { goroutine: Goroutine }) {
  return (
    <article>
      <h5>goroutine {goroutine.id} [{waitWords(goroutine)}]</h5>
      <StackList goroutine={goroutine} />
    </article>
  );
}

function ObjectDetail({ object }: { object: SyncObject }) {
  return (
    <article>
      <h5>{object.kind} {object.address}</h5>
      <p>State: <code>{JSON.stringify(object.state)}</code>. Waiting: {count(object.waiters.length)}.</p>
      <ul>
        {object.holders.map((holder) => (
          <li>
            {holder.certain ? "held by" : "possibly held by"} goroutine {holder.goroutine}, which releases it in{" "}
            <code>{holder.function}</code> at {place(holder)}
          </li>
        ))}
      </ul>
    </article>
  );
}

interface DetailProps {
  pid: number;
  node: Node;
  goroutines: Map<number, Goroutine>;
  objects: Map<string, SyncObject>;
  onClose: () => void;
}

function Detail({ pid, node, goroutines, objects, onClose }: DetailProps) {
  const object = node.type === "object" ? objects.get(node.address) : undefined;
  const members = node.type === "goroutines" ? node.goroutines.slice(0, LISTED_GOROUTINES) : [];
  const known = useGoroutines(pid, members, goroutines);
  return (
    <aside class="detail-panel" aria-label="Details" aria-live="polite">
      <button type="button" class="close" onClick={onClose} aria-label="Close details">×</button>
      {object && <ObjectDetail object={object} />}
      {node.type === "goroutines" && node.count > LISTED_GOROUTINES && (
        <p>{count(node.count)} goroutines, the first {LISTED_GOROUTINES}:</p>
      )}
      {members.map((id) => {
        const goroutine = known.get(id);
        return goroutine ? <GoroutineDetail key={id} goroutine={goroutine} /> : <p key={id}>goroutine {id}</p>;
      })}
    </aside>
  );
}

export function FindingCard({ pid, finding, overview }: { pid: number; finding: Finding; overview: Overview }) {
  const goroutines = useMemo(() => described(overview.goroutines, overview.groups), [overview]);
  const objects = useMemo(() => new Map(overview.objects.map((o) => [o.address, o])), [overview]);
  const [selected, setSelected] = useState<Node | null>(null);
  const drawable = finding.edges.length > 0 || finding.objects.length > 0;
  return (
    <article class={`finding ${finding.verdict}`}>
      <h4>
        <span class={`badge ${finding.verdict}`}>{finding.verdict}</span> <span class="kind">{kindWords(finding.kind)}</span>{" "}
        {finding.summary}
      </h4>
      <Story lines={finding.story ?? []} />
      {(finding.doubts ?? []).length > 0 && (
        <details>
          <summary>What is missing for proof</summary>
          <ul>{finding.doubts!.map((doubt) => <li>{doubt}</li>)}</ul>
        </details>
      )}
      {drawable && (
        <div class="evidence">
          <GraphView finding={finding} goroutines={goroutines} objects={objects} onSelect={setSelected} />
          {selected && (
            <Detail pid={pid} node={selected} goroutines={goroutines} objects={objects} onClose={() => setSelected(null)} />
          )}
        </div>
      )}
      {finding.edges.length > 0 && (
        <details>
          <summary>Who waits for whom, in words</summary>
          <ul>
            {finding.edges.slice(0, LISTED_EDGES).map((edge) => (
              <li>
                goroutine {edge.from} waits for {objects.get(edge.object)?.kind ?? "object"} {edge.object}, held by
                goroutine {edge.to}
              </li>
            ))}
            {finding.edges.length > LISTED_EDGES && <li>and {count(finding.edges.length - LISTED_EDGES)} more</li>}
          </ul>
        </details>
      )}
    </article>
  );
}
