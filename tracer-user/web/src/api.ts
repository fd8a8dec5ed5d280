// Reading the daemon's API, with the bearer token where it asks for one.
import type { GoroutinePage, Overview, ProcessList } from "./types.ts";

const TOKEN_KEY = "gostuck-token";

/** The daemon wants a token, or another one. */
export class Unauthorized extends Error {}

export function rememberToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

async function request(path: string, signal?: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal });
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new Error(text || `${path} answered ${response.status}`);
  }
  return response;
}

export async function fetchProcesses(): Promise<ProcessList> {
  return (await request("api/v1/processes")).json();
}

/** The daemon's last look at a process, and how many seconds ago it was; with `fresh` another one. */
export async function fetchOverview(
  pid: number,
  fresh: boolean,
  signal?: AbortSignal,
): Promise<{ overview: Overview; age: number }> {
  const response = await request(`api/v1/processes/${pid}?view=groups${fresh ? "&fresh=true" : ""}`, signal);
  const age = Number(response.headers.get("Age") ?? 0);
  return { overview: await response.json(), age };
}

/** Some goroutines of a group, after the first `offset`. */
export async function fetchGroup(pid: number, group: number, offset: number, limit: number): Promise<GoroutinePage> {
  return (await request(`api/v1/processes/${pid}?group=${group}&offset=${offset}&limit=${limit}`)).json();
}

/** Single goroutines, as far as they are there. */
export async function fetchGoroutines(pid: number, ids: number[]): Promise<GoroutinePage> {
  return (await request(`api/v1/processes/${pid}?goroutines=${ids.join(",")}`)).json();
}

/** Splits a server-sent event stream's text into events; returns what is left incomplete. */
export function splitEvents(text: string): { events: { name: string; data: string }[]; rest: string } {
  const blocks = text.replace(/\r\n?/g, "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  const events = blocks
    .map((block) => {
      let name = "message";
      const data: string[] = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
      return { name, data: data.join("\n") };
    })
    .filter((event) => event.data !== "");
  return { events, rest };
}

/** Calls back with the process list each time the daemon says that it changed, until aborted. */
export async function followProcesses(
  onList: (list: ProcessList) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await request("api/v1/events", signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const { events, rest } = splitEvents(pending + value);
    pending = rest;
    for (const event of events) {
      if (event.name === "processes") onList(JSON.parse(event.data));
    }
  }
}
