// One process: findings first, then goroutines by stack, then threads.
import { useEffect, useState } from "preact/hooks";
import { fetchDiagnosis } from "./api.ts";
import { FindingCard } from "./finding.tsx";
import { count, plural } from "./format.ts";
import { Sparkline } from "./sparkline.tsx";
import { Stacks } from "./stacks.tsx";
import { Threads } from "./threads.tsx";
import type { Diagnosis, ListedProcess } from "./types.ts";

const REFRESH_MS = 5_000;

function useDiagnosis(pid: number): { diagnosis: Diagnosis | null; error: string | null } {
  const [diagnosis, setDiagnosis] = useState<Diagnosis | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    const refresh = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        try {
          setDiagnosis(await fetchDiagnosis(pid, abort.signal));
          setError(null);
        } catch (reason) {
          if (abort.signal.aborted) return;
          setError(reason instanceof Error ? reason.message : String(reason));
        }
        await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
      }
    };
    void refresh();
    return () => abort.abort();
  }, [pid]);
  return { diagnosis, error };
}

function Facts({ diagnosis, history }: { diagnosis: Diagnosis; history: number[] }) {
  const { process, deadlock_detector: detector } = diagnosis;
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
  const { diagnosis, error } = useDiagnosis(pid);
  // Of a queue its cause tells.
  const findings = diagnosis?.findings ?? [];
  const told = findings.filter(({ cause }) => !findings.some(({ id }) => id === cause));
  const title = diagnosis?.process.command ?? listed?.command ?? "";
  return (
    <>
      <nav aria-label="Breadcrumb"><a href="#/">All processes</a> › {pid}</nav>
      <h2>{title || `process ${pid}`}</h2>
      {error && <p role="alert" class="error">{error}</p>}
      {!diagnosis && !error && <p>Reading process {pid}…</p>}
      {diagnosis && (
        <>
          <Facts diagnosis={diagnosis} history={history} />
          <section aria-labelledby="findings">
            <h3 id="findings">Findings ({count(told.length)})</h3>
            {diagnosis.findings.length === 0 && <p class="fine">Nothing is stuck here.</p>}
            {told.map((finding) => (
              <FindingCard key={finding.id} finding={finding} diagnosis={diagnosis} />
            ))}
          </section>
          <Stacks goroutines={diagnosis.goroutines} />
          <Threads threads={diagnosis.threads} />
          {diagnosis.incomplete.length > 0 && (
            <section aria-labelledby="incomplete">
              <h3 id="incomplete">Not read ({count(diagnosis.incomplete.length)})</h3>
              <ul>
                {diagnosis.incomplete.slice(0, 50).map(({ what, why }) => (
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
