// The list of processes: stuck first.
import { ago, count, where } from "./format.ts";
import { Sparkline } from "./sparkline.tsx";
import type { ListedProcess, ProcessList } from "./types.ts";

function byTrouble(a: ListedProcess, b: ListedProcess): number {
  return (
    b.findings.proven - a.findings.proven ||
    b.findings.suspected - a.findings.suspected ||
    b.goroutines - a.goroutines ||
    a.pid - b.pid
  );
}

export function FindingCounts({ findings }: { findings: { proven: number; suspected: number } }) {
  if (findings.proven + findings.suspected === 0) return <span class="fine">none</span>;
  return (
    <>
      {findings.proven > 0 && <span class="badge proven">{findings.proven} proven</span>}{" "}
      {findings.suspected > 0 && <span class="badge suspected">{findings.suspected} suspected</span>}
    </>
  );
}

function Row({ process, history }: { process: ListedProcess; history: number[] }) {
  return (
    <tr>
      <td class="number">{process.pid}</td>
      <th scope="row">
        <a href={`#/process/${process.pid}`}>{process.command}</a>
        <div class="faint">{where(process.identity)}</div>
      </th>
      <td><FindingCounts findings={process.findings} /></td>
      <td class="number">{count(process.goroutines)}</td>
      <td><Sparkline values={history} label={`goroutines of ${process.command}`} /></td>
      <td class="number">{count(process.threads)}</td>
      <td>{process.go_version}</td>
      <td>{process.mode ?? ""}</td>
      <td class="number">{ago(process.last_look_seconds_ago)}</td>
      <td class="number">{process.cost_ratio == null ? "" : `${(process.cost_ratio * 100).toFixed(2)} %`}</td>
    </tr>
  );
}

export function ProcessTable({ list, history }: { list: ProcessList | null; history: Map<string, number[]> }) {
  if (!list) return <p>Waiting for the daemon…</p>;
  if (list.processes.length === 0) {
    return <p>No Go process is running on this host, or none that the daemon may see (<code>gostuck doctor</code>).</p>;
  }
  return (
    <div class="scroll">
      <table>
        <caption>Go processes of this host</caption>
        <thead>
          <tr>
            <th scope="col">PID</th>
            <th scope="col">Command</th>
            <th scope="col">Findings</th>
            <th scope="col">Goroutines</th>
            <th scope="col">Trend</th>
            <th scope="col">Threads</th>
            <th scope="col">Go</th>
            <th scope="col">Watched by</th>
            <th scope="col">Looked at</th>
            <th scope="col">Cost</th>
          </tr>
        </thead>
        <tbody>
          {[...list.processes].sort(byTrouble).map((process) => (
            <Row key={process.key} process={process} history={history.get(process.key) ?? []} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
