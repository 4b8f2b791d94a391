// The programs. Each is a shell command in which $BB is busybox, $K the compiled kernels, $D the data, $W a scratch directory; `needs`
// names what not every machine has. The amounts of work are such that a program takes 10 to 80 ms natively: less where emulators are slow.

const GROUPS = ["integer", "memory", "float", "system"];

/** Applets of busybox. */
const applets = [
  ["integer", "sha256sum", "$BB sha256sum $D/text $D/text $D/text $D/text"],
  ["integer", "md5sum", "$BB md5sum $D/text $D/text $D/text $D/text $D/text $D/text $D/text $D/text"],
  ["integer", "gzip", "$BB gzip -c $D/text"],
  ["integer", "gunzip", "$BB gunzip -c $W/text.gz $W/text.gz $W/text.gz $W/text.gz"],
  ["integer", "bzip2", "$BB head -c 300000 $D/text | $BB bzip2 -c"],
  ["integer", "unxz", "$BB unxz -c $D/packed.xz"],
  ["integer", "sort", "$BB sort $D/text $D/text"],
  ["integer", "grep", "$BB grep -c -E '(ab|cd)[a-m]+ .*x$' $D/text"],
  [
    "integer",
    "awk-words",
    "$BB head -c 400000 $D/text | $BB awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) s += n[w] * length(w); print s }'",
  ],
  ["integer", "awk-integer", "$BB awk 'BEGIN { for (i = 1; i < 150000; i++) s = (s * 7 + i) % 10007; print s }'"],
  ["memory", "dd-copy", "$BB dd if=/dev/zero of=/dev/null bs=1M count=1500"],
  ["memory", "cp-file", "for i in 1 2 3 4 5 6 7 8; do $BB cp $D/text $W/copy; done; $BB rm $W/copy"],
  [
    "float",
    "awk-float",
    "$BB awk 'BEGIN { for (i = 1; i < 40000; i++) { s += i / (i + 0.5) - s * 0.25; t = t * 0.999 + s / i } printf \"%.9f\\n\", t }'",
  ],
  ["system", "fork-exec", "i=0; while [ $i -lt 40 ]; do $BB true; i=$((i + 1)); done"],
  ["system", "subshells", "i=0; while [ $i -lt 60 ]; do ( : ); i=$((i + 1)); done"],
  ["system", "pipes", "i=0; while [ $i -lt 8 ]; do echo $i | $BB cat | $BB cat | $BB wc -c; i=$((i + 1)); done"],
  ["system", "dd-bytes", "$BB dd if=/dev/zero of=/dev/null bs=1 count=30000"],
  ["system", "find", "$BB find $W/tree -name '*7*' | $BB wc -l"],
];

/** Kernels and their rounds. */
const kernels = {
  integer: {
    sieve: 20,
    hash: 800,
    matrix: 100,
    crc: 300,
    qsort: 25,
    records: 40000,
    interpreter: 14000,
    modpow: 300000,
  },
  memory: { "copy-small": 3000, "copy-large": 16, chase: 60, triad: 300, scatter: 800, allocate: 700 },
  float: { nbody: 250000, mandelbrot: 120, spectral: 2000, matmul: 300, fft: 1200, filter: 1500 },
  system: { getppid: 100000, pingpong: 1000, fork: 100, pages: 100, signals: 5000, files: 20000 },
};

/** All programs by group. `calls`: how many system calls a run mainly consists of. */
export const PROGRAMS = [
  ...applets.map(([group, name, command]) => ({ group, name, command })),
  ...Object.entries(kernels).flatMap(([group, rows]) =>
    Object.entries(rows).map(([name, rounds]) => ({ group, name, command: `$K ${name} ${rounds}`, needs: "gcc" })),
  ),
].sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group));
for (const program of PROGRAMS) if (program.name === "getppid") program.calls = kernels.system.getppid;

/** Run once before the programs; not timed. */
export const PREPARE = `
$BB gzip -c $D/text >$W/text.gz
for i in 0 1 2 3 4 5 6 7; do for j in 0 1 2 3 4 5; do
  $BB mkdir -p $W/tree/$i/$j; for k in 7 8 9 a b c d e; do : >$W/tree/$i/$j/$k; done
done; done
`;

/** A text of made-up words, the same every time. */
export function sampleText(bytes) {
  let state = 42;
  const random = (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const words = Array.from({ length: 4000 }, () =>
    Array.from({ length: 2 + random(8) }, () => String.fromCharCode(97 + Math.min(random(26), random(26)))).join(""),
  );
  let text = "";
  while (text.length < bytes) text += words[Math.min(random(4000), random(4000))] + (random(9) === 0 ? "\n" : " ");
  return Buffer.from(text.slice(0, bytes), "latin1");
}
