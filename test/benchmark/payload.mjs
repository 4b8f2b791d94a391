// What runs in each peer: an initramfs with busybox, the compiled kernels, the data, and one script that runs every program a number of
// times and says on the console when each begins and ends. The same files in a directory are what runs natively.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeCpio } from "../../dist/images/index.js";
import { PREPARE, sampleText } from "./programs.mjs";

const TEXT_BYTES = 1_500_000;
const COMPILE = ["-O2", "-static", "-fno-math-errno"];
const SOURCES = ["main.c", "integer.c", "memory.c", "float.c", "system.c", "selfmod.c"];

/** The kernels as a static binary, or why there is none. */
export const compileKernels = (architecture) => compileProgram(SOURCES, architecture);

/** Files of `kernels/` as a static binary, or why there is none. */
export function compileProgram(files, architecture) {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-kernels-"));
  try {
    const output = join(directory, "kernels");
    const sources = files.map((file) => fileURLToPath(new URL(`kernels/${file}`, import.meta.url)));
    const words = [architecture === "i386" ? "-m32" : "-m64", ...COMPILE, "-o", output, ...sources, "-lm"];
    const { status, error, stderr } = spawnSync("gcc", words, { encoding: "utf8" });
    if (error) return { reason: "gcc isn't installed" };
    if (status !== 0) return { reason: `gcc can't make static ${architecture} programs: ${stderr.split("\n")[0]}` };
    return { binary: readFileSync(output) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Files of a payload by path. `parts`: { busybox, packed, kernels? } by architecture. */
export function payloadFiles(parts) {
  const files = new Map();
  for (const [architecture, { busybox, packed, kernels }] of Object.entries(parts)) {
    files.set(`bench/${architecture}/busybox`, { data: busybox, mode: 0o755 });
    if (kernels) files.set(`bench/${architecture}/kernels`, { data: kernels, mode: 0o755 });
    files.set("bench/data/packed.xz", { data: packed, mode: 0o644 });
  }
  files.set("bench/data/text", { data: sampleText(TEXT_BYTES), mode: 0o644 });
  return files;
}

/**
 * The script. Arguments when it runs: the payload's directory, a scratch directory. Lines that it prints:
 * "@@B KEY RUN", "@@E KEY RUN STATUS", "@@H KEY RUN MD5-OF-THE-OUTPUT", at last "@@DONE".
 * `inTurns`: all programs once, then all again, instead of each one's runs in a row; each run waits, after "@@R", for a line of input.
 */
export function runScript(selected, runs, { prepare = PREPARE, inTurns = false } = {}) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [
    "B=$1 W=$2 D=.",
    "cd $1/data",
    "export B W D BB K",
    "use() { BB=$B/$1/busybox K=$B/$1/kernels; }",
    'program() { n=0; while [ $n -lt $3 ]; do n=$((n + 1)); once "$1" "$2" $n; done; }',
    'once() { echo "@@B $1 $3"; eval "$2" </dev/null >$W/out 2>$W/err; s=$?; echo "@@E $1 $3 $s"',
    '  set -- $1 "$2" $3 $($BB md5sum <$W/out); echo "@@H $1 $3 $4"; [ $s = 0 ] || $BB tail -n 3 $W/err; }',
  ];
  let architecture;
  const programs = [];
  for (const program of selected) {
    if (program.architecture !== architecture) {
      architecture = program.architecture;
      programs.push(`use ${architecture}`);
      if (selected[0] === program) lines.push(...programs, prepare);
    }
    const [call, count] = inTurns ? ["asked", "$turn"] : ["program", runs];
    programs.push(`${call} ${program.key} ${quote(program.command)} ${count}`);
  }
  if (inTurns)
    lines.push(
      'asked() { echo @@R; read _ && once "$@"; }',
      "turn=0",
      `while [ $turn -lt ${runs} ]; do turn=$((turn + 1))`,
      ...programs,
      "done",
    );
  else lines.push(...programs);
  return `${lines.join("\n")}\necho @@DONE\n`;
}

/** An initramfs whose init runs the script. `architecture`: whose busybox is the shell. */
export function initramfs(files, script, architecture) {
  const shell = `/bench/${architecture}/busybox`;
  const init = `#!${shell} sh\n${shell} mount -t proc proc /proc\n${shell} sh /bench/run.sh /bench /tmp\n${shell} poweroff -f\n`;
  const directories = ["bench", "bench/data", "dev", "proc", "tmp", ...architectures(files)];
  const device = (name, major, minor) => ({ kind: "character-device", path: `dev/${name}`, major, minor, mode: 0o666 });
  return writeCpio([
    ...directories.map((path) => ({ kind: "directory", path })),
    ...[device("console", 5, 1), device("null", 1, 3), device("zero", 1, 5), device("tty", 5, 0)],
    ...[...files].map(([path, { data, mode }]) => ({ kind: "file", path, data, mode })),
    { kind: "file", path: "bench/run.sh", data: Buffer.from(script) },
    { kind: "file", path: "init", data: Buffer.from(init), mode: 0o755 },
  ]);
}

const architectures = (files) => [
  ...new Set([...files.keys()].filter((path) => path.endsWith("/busybox")).map((path) => dirname(path))),
];

/** The same as files in a directory. */
export function unpackInto(directory, files, script) {
  for (const [path, { data, mode }] of [...files, ["bench/run.sh", { data: script, mode: 0o644 }]]) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), data, { mode });
  }
  mkdirSync(join(directory, "tmp"));
}
