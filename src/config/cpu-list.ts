// CPU lists as cpus= and `vcpu-pin` have them: "all", "0-3,5,^1", "node:0,^2". The host is one NUMA node, number 0.

/** One term: CPUs from first to last, added or (isExcluded) taken away. */
export interface CpuRange {
  readonly first: number;
  readonly last: number;
  readonly isExcluded: boolean;
}

export type CpuList = readonly CpuRange[];

const EVERY = { first: 0, last: Number.MAX_SAFE_INTEGER };

/** @returns undefined when that is no CPU list */
export function parseCpuList(text: string): CpuList | undefined {
  const list: CpuRange[] = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\^?)(?:(all)|(nodes?:\^?)?(all|\d{1,5})(?:-(\d{1,5}))?)\s*$/.exec(part);
    if (!match) return undefined;
    const [, not, all, nodes, from, to] = match;
    const isExcluded = not === "^" || (nodes?.endsWith("^") ?? false);
    if (all || from === "all") {
      if (to !== undefined) return undefined;
      list.push({ ...EVERY, isExcluded });
      continue;
    }
    const first = Number(from);
    const last = to === undefined ? first : Number(to);
    if (last < first) return undefined;
    if (!nodes) list.push({ first, last, isExcluded });
    else if (first === 0) list.push({ ...EVERY, isExcluded });
    else return undefined;
  }
  return list;
}

/** The CPUs of a host with so many that the list names, in order. A list of exclusions alone starts from all. */
export function expandCpuList(list: CpuList, cpus: number): number[] {
  const chosen = new Set<number>();
  const all = Array.from({ length: cpus }, (_, cpu) => cpu);
  if (list.every(({ isExcluded }) => isExcluded)) for (const cpu of all) chosen.add(cpu);
  // Exclusions hold wherever they stand.
  for (const wanted of [false, true])
    for (const { first, last, isExcluded } of list)
      if (isExcluded === wanted)
        for (const cpu of all) if (cpu >= first && cpu <= last) wanted ? chosen.delete(cpu) : chosen.add(cpu);
  return all.filter((cpu) => chosen.has(cpu));
}
