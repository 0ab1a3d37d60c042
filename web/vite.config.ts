import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { defineConfig, type Plugin } from "vite";

const HERE = import.meta.dirname;
const TARGET = join(HERE, "../src/wherewhen/server/review_page");
const SOURCES = ["index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

/** All files of a folder, with their paths. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** SHA-256 of the names and contents of files, in the order of their names. */
function hashOf(root: string, paths: string[]): string {
  const hash = createHash("sha256");
  for (const path of paths.map((one) => relative(root, one).replaceAll("\\", "/")).sort()) {
    hash.update(`${path}\0`).update(readFileSync(join(root, path))).update("\0");
  }
  return hash.digest("hex");
}

/** Writes which sources the files were built of: a test compares them. */
const record: Plugin = {
  name: "record",
  closeBundle() {
    const sources = SOURCES.flatMap((name) => (name.includes(".") ? [join(HERE, name)] : filesOf(join(HERE, name))));
    const built = filesOf(TARGET).filter((path) => !path.endsWith("build.json"));
    const hashes = { sources: hashOf(HERE, sources), built: hashOf(TARGET, built) };
    writeFileSync(join(TARGET, "build.json"), `${JSON.stringify(hashes, null, 2)}\n`);
  },
};

export default defineConfig({
  base: "/review/",
  plugins: [record],
  build: {
    outDir: TARGET,
    emptyOutDir: true,
    modulePreload: false,
    target: "es2022",
    license: { fileName: "licenses.md" },
    rollupOptions: {
      output: {
        entryFileNames: "assets/review.js",
        assetFileNames: "assets/review[extname]",
        codeSplitting: false,
      },
    },
  },
});
