// One process: findings first, then goroutines by stack, then threads.
import { useEffect, useState } from "preact/hooks";
import { fetchOverview } from "./api.ts";
import { FindingCard } from "./finding.tsx";
import { count, duration, plural } from "./format.ts";
import { Sparkline } from "./sparkline.tsx";
import { Stacks } from "./stacks.tsx";
import { Threads } from "./threads.tsx";
import type { ListedProcess, Overview } from "./types.ts";

const REFRESH_MS = 5_000;

interface Seen {
  overview: Overview;
  /** When it was read, on this machine's clock. */
  readAt: number;
}

/** The daemon's last look, asked for again and again while the page is seen; `look` wants a new one. */
function useOverview(pid: number): { seen: Seen | null; error: string | null; look: () => void } {
  const [seen, setSeen] = useState<Seen | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [wanted, setWanted] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    let fresh = wanted > 0;
    const refresh = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        if (!document.hidden) {
          try {
            const { overview, age } = await fetchOverview(pid, fresh, abort.signal);
            fresh = false;
            const readAt = Date.now() - 1_000 * age;
            // The same look again is nothing new to draw.
            setSeen((before) => (before?.overview.taken === overview.taken ? before : { overview, readAt }));
            setError(null);
          } catch (reason) {
            if (abort.signal.aborted) return;
            setError(reason instanceof Error ? reason.message : String(reason));
          }
        }
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      }
    };
    void refresh();
    return () => abort.abort();
  }, [pid, wanted]);
  return { seen, error, look: () => setWanted((before) => before + 1) };
}

/** How long ago the look was, counting on. */
function Age({ readAt, look }: { readAt: number; look: () => void }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const age = Math.round((now - readAt) / 1_000);
  return (
    <p class="faint age">
      Looked at {age < 1 ? "just now" : `${duration(age)} ago`}{" "}
      <button type="button" onClick={look}>Look now</button>
    </p>
  );
}

function Facts({ overview, history }: { overview: Overview; history: number[] }) {
  const { process, deadlock_detector: detector } = overview;
  return (
    <>
      <p class="facts">
        {process.go_version}
        {process.stripped && ", stripped"}
        {process.cgo && ", cgo"} · {plural(process.goroutines, "goroutine")}{" "}
        <Sparkline values={history} label="goroutines" /> · {plural(process.threads, "thread")} · GOMAXPROCS{" "}
        {process.gomaxprocs ?? "?"}
        {process.cpu_limit !== null && ` (CPU limit ${process.cpu_limit})`} · <code>{process.exe}</code>
      </p>
      {detector && (
        <p class="faint">
          Go's own deadlock detector: {detector.reason}
        </p>
      )}
    </>
  );
}

export function ProcessPage({ pid, listed, history }: { pid: number; listed: ListedProcess | null; history: number[] }) {
  const { seen, error, look } = useOverview(pid);
  const overview = seen?.overview;
  // Of a queue its cause tells.
  const findings = overview?.findings ?? [];
  const told = findings.filter(({ cause }) => !findings.some(({ id }) => id === cause));
  const title = overview?.process.command ?? listed?.command ?? "";
  return (
    <>
      <nav aria-label="Breadcrumb"><a href="#/">All processes</a> › {pid}</nav>
      <h2>{title || `process ${pid}`}</h2>
      {error && <p role="alert" class="error">{error}</p>}
      {!seen && !error && <p>Reading process {pid}…</p>}
      {seen && overview && (
        <>
          <Age readAt={seen.readAt} look={look} />
          <Facts overview={overview} history={history} />
          <section aria-labelledby="findings">
            <h3 id="findings">Findings ({count(told.length)})</h3>
            {overview.findings.length === 0 && <p class="fine">Nothing is stuck here.</p>}
            {told.map((finding) => (
              <FindingCard key={finding.id} pid={pid} finding={finding} overview={overview} />
            ))}
          </section>
          <Stacks pid={pid} overview={overview} />
          <Threads threads={overview.threads} />
          {overview.incomplete.length > 0 && (
            <section aria-labelledby="incomplete">
              <h3 id="incomplete">Not read ({count(overview.incomplete.length)})</h3>
              <ul>
                {overview.incomplete.slice(0, 50).map(({ what, why }) => (
                  <li>{what}: {why}</li>
                ))}
              </ul>
            </section>
          )}
        </>
      )}
    </>
  );
}
