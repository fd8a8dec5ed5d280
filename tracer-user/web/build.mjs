// Bundles the page into dist/, or with --tests the unit tests into build/.
// The output is committed: it must depend on nothing but these sources and package-lock.json.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";

const shared = {
  bundle: true,
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
};

if (process.argv.includes("--tests")) {
  const tests = readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...shared,
    entryPoints: tests.map((name) => `src/${name}`),
    outdir: "build",
    entryNames: "[name]",
    platform: "node",
    format: "esm",
  });
} else {
  mkdirSync("dist", { recursive: true });
  await build({
    ...shared,
    entryPoints: { app: "src/main.tsx" },
    outdir: "dist",
    format: "iife",
    minify: true,
  });
  await build({ entryPoints: ["src/app.css"], outfile: "dist/app.css", minify: true });
  copyFileSync("src/index.html", "dist/index.html");
}
