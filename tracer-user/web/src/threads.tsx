// The threads object of the document: counts by what they do, and the groups under them.
import { count, kindWords } from "./format.ts";

function isRow(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function Cell({ value }: { value: unknown }) {
  if (typeof value === "number") return <>{count(value)}</>;
  if (isRow(value) && typeof value["function"] === "string") {
    return <><code>{value["function"]}</code> <span class="faint">{String(value["file"] ?? "")}:{String(value["line"] ?? "")}</span></>;
  }
  return <>{typeof value === "object" ? JSON.stringify(value) : String(value)}</>;
}

export function Threads({ threads }: { threads: Record<string, unknown> }) {
  const entries = Object.entries(threads);
  const numbers = entries.filter(([, value]) => typeof value === "number");
  const records = entries.filter((entry): entry is [string, Record<string, unknown>] => isRow(entry[1]));
  const lists = entries.filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1]) && entry[1].length > 0);
  return (
    <section aria-labelledby="threads">
      <h3 id="threads">Threads</h3>
      <dl class="numbers">
        {numbers.map(([name, value]) => (
          <div><dt>{kindWords(name.replaceAll("_", " "))}</dt><dd><Cell value={value} /></dd></div>
        ))}
        {records.flatMap(([, record]) => Object.entries(record)).map(([name, value]) => (
          <div><dt>{name.replaceAll("_", " ")}</dt><dd><Cell value={value} /></dd></div>
        ))}
      </dl>
      {lists.map(([name, rows]) => (
        <details>
          <summary>{name.replaceAll("_", " ")} ({count(rows.length)})</summary>
          <ul>
            {rows.slice(0, 100).map((row) => (
              <li>
                {isRow(row)
                  ? Object.entries(row).filter(([, value]) => value !== null).map(([key, value], i) => (
                      <>{i > 0 && ", "}{key.replaceAll("_", " ")} <Cell value={value} /></>
                    ))
                  : <Cell value={row} />}
              </li>
            ))}
          </ul>
        </details>
      ))}
    </section>
  );
}
