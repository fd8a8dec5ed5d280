// The frame around the pages: which page the address names, the live process list, the token form.
import { useEffect, useState } from "preact/hooks";
import { fetchProcesses, followProcesses, rememberToken, Unauthorized } from "./api.ts";
import { useHistory } from "./history.ts";
import { ProcessPage } from "./process.tsx";
import { ProcessTable } from "./processes.tsx";
import type { ProcessList } from "./types.ts";

/** How long to wait before asking a daemon that went away again. */
const RETRY_MS = 3_000;

function useRoute(): number | null {
  const read = (): number | null => {
    const match = /^#\/process\/(\d+)/.exec(location.hash);
    return match ? Number(match[1]) : null;
  };
  const [pid, setPid] = useState(read);
  useEffect(() => {
    const onChange = (): void => setPid(read());
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return pid;
}

type Connection = "connecting" | "live" | "lost" | "locked";

function useLiveProcesses(attempt: number): { list: ProcessList | null; connection: Connection } {
  const [list, setList] = useState<ProcessList | null>(null);
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    const abort = new AbortController();
    const follow = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        try {
          setList(await fetchProcesses());
          setConnection("live");
          await followProcesses(setList, abort.signal);
        } catch (error) {
          if (abort.signal.aborted) return;
          if (error instanceof Unauthorized) {
            setConnection("locked");
            return;
          }
        }
        setConnection("lost");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    };
    void follow();
    return () => abort.abort();
  }, [attempt]);
  return { list, connection };
}

function TokenForm({ onToken }: { onToken: () => void }) {
  return (
    <form
      class="token"
      onSubmit={(event) => {
        event.preventDefault();
        rememberToken(String(new FormData(event.currentTarget).get("token")));
        onToken();
      }}
    >
      <label>
        This daemon asks for its bearer token (<code>--token-file</code>):{" "}
        <input name="token" type="password" autocomplete="off" required />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}

export function App() {
  const pid = useRoute();
  const [attempt, setAttempt] = useState(0);
  const { list, connection } = useLiveProcesses(attempt);
  const history = useHistory(list);
  const listed = list?.processes.find((process) => process.pid === pid) ?? null;
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header>
        <h1><a href="#/">gostuck</a></h1>
        <span class={`connection ${connection}`} role="status">
          {{ connecting: "connecting…", live: "live", lost: "daemon not reachable, retrying", locked: "token needed" }[connection]}
        </span>
      </header>
      <main id="main">
        {connection === "locked" ? (
          <TokenForm onToken={() => setAttempt(attempt + 1)} />
        ) : pid !== null ? (
          <ProcessPage key={pid} pid={pid} listed={listed} history={history.get(listed?.key ?? "") ?? []} />
        ) : (
          <ProcessTable list={list} history={history} />
        )}
      </main>
    </>
  );
}
