// A line of recent counts, with its words for those who do not see it.
import { count } from "./format.ts";

export function Sparkline({ values, label }: { values: number[]; label: string }) {
  if (values.length < 2) return <span class="spark" />;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const points = values
    .map((value, i) => `${((i / (values.length - 1)) * 78 + 1).toFixed(1)},${(18 - ((value - low) / span) * 16).toFixed(1)}`)
    .join(" ");
  return (
    <svg class="spark" viewBox="0 0 80 20" role="img" aria-label={`${label} from ${count(values[0]!)} to ${count(values.at(-1)!)}`}>
      <polyline points={points} />
    </svg>
  );
}
