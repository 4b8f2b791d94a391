// Sets of CPUs as xl prints them.

/** "all", "none", "0-2,5" */
export function cpuSet(numbers: readonly number[], cpus: number): string {
  if (numbers.length >= cpus) return "all";
  if (numbers.length === 0) return "none";
  const ranges: [number, number][] = [];
  for (const cpu of numbers) {
    const last = ranges.at(-1);
    if (last && last[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");
}
