// Credits, as Xen's credit scheduler counts them: who runs pays 10 a millisecond; every time slice what all CPUs can pay is dealt out
// to the domains that want to run, by weight and at most up to their caps. Who has nothing left runs after those who have.

import { Priority, type Runnable, type SchedDomain, type SchedUnit } from "./sched-unit.js";

const NS_PER_MS = 1_000_000;
const CREDITS_PER_MS = 10;
/** Between two distributions of credits, and the longest a vCPU runs while another one waits, ns; unless it is set. */
export const DEFAULT_TIMESLICE = 30 * NS_PER_MS;
/** How often a slice the one that runs is looked at. */
export const TICKS_PER_TIMESLICE = 3;

/** Takes what a running unit owes until `now`. */
export function pay<T extends Runnable>(unit: SchedUnit<T>, now: number): void {
  const credits = Math.round(((now - unit.paidUntil) * CREDITS_PER_MS) / NS_PER_MS);
  if (credits <= 0) return;
  unit.credit -= credits;
  unit.paidUntil += (credits * NS_PER_MS) / CREDITS_PER_MS;
}

export interface Account {
  /** ns */
  timeslice: number;
  /** Credits of all active units together, after the last distribution. */
  balance: number;
}

const creditsOf = ({ timeslice }: Account) => (timeslice / NS_PER_MS) * CREDITS_PER_MS;

/**
 * Deals out the credits of one time slice.
 * @returns the units that were parked and may run again.
 */
export function distribute<T extends Runnable>(
  domains: Iterable<SchedDomain<T>>,
  cpus: number,
  account: Account,
): SchedUnit<T>[] {
  const shares = [...domains]
    .map((domain) => ({ domain, units: domain.units.filter((unit) => unit.isActive) }))
    .filter(({ units }) => units.length > 0)
    .map(({ domain, units }) => ({ domain, units, weight: domain.weight * units.length, fair: 0 }));
  const released: SchedUnit<T>[] = [];
  const slice = creditsOf(account);
  dealOut(shares, cpus, slice, account.balance);
  account.balance = 0;
  for (const { domain, units, fair } of shares) {
    const limit = Math.ceil(capCredits(domain, slice) / units.length);
    for (const unit of units) {
      unit.credit += Math.ceil(fair / units.length);
      if (settle(unit, slice, limit)) released.push(unit);
      account.balance += unit.credit;
    }
  }
  return released;
}

interface Share<T extends Runnable> {
  readonly domain: SchedDomain<T>;
  readonly units: readonly SchedUnit<T>[];
  readonly weight: number;
  fair: number;
}

function capCredits<T extends Runnable>({ cap }: SchedDomain<T>, slice: number): number {
  return Math.ceil((cap * slice) / 100);
}

/** By weight; what some can't use, because they have too few vCPUs or a cap, goes to the others. @param slice credits of one CPU */
function dealOut<T extends Runnable>(shares: readonly Share<T>[], cpus: number, slice: number, balance: number): void {
  const weights = shares.reduce((sum, { weight }) => sum + weight, 0);
  // All domains together in debt: they may earn more than they can spend in a slice.
  const debt = Math.max(0, -balance);
  const peakOf = ({ domain, units, weight }: Share<T>) => {
    const peak = units.length * slice + Math.ceil((debt * weight) / weights);
    return domain.cap > 0 ? Math.min(peak, capCredits(domain, slice)) : peak;
  };
  let left = cpus * slice;
  let waiting = [...shares];
  for (;;) {
    const sum = waiting.reduce((total, { weight }) => total + weight, 0);
    const fairOf = (share: Share<T>) => Math.ceil((left * share.weight) / sum);
    const full = waiting.filter((share) => fairOf(share) >= peakOf(share));
    if (full.length === 0) {
      for (const share of waiting) share.fair = fairOf(share);
      return;
    }
    for (const share of full) share.fair = peakOf(share);
    left -= full.reduce((total, { fair }) => total + fair, 0);
    waiting = waiting.filter((share) => !full.includes(share));
    if (left <= 0 || waiting.length === 0) return;
  }
}

/** Sets what follows from a unit's credits. @returns whether it was parked and isn't any more. */
function settle<T extends Runnable>(unit: SchedUnit<T>, slice: number, limit: number): boolean {
  if (unit.credit < 0) {
    unit.priority = Priority.Over;
    if (unit.domain.cap > 0 && unit.credit < -limit) unit.isParked = true;
    unit.credit = Math.max(unit.credit, -slice);
    return false;
  }
  unit.priority = Priority.Under;
  // Who doesn't spend stops earning; half is left for the next time it wakes.
  if (unit.credit > slice) {
    unit.isActive = false;
    unit.credit = slice / 2;
  }
  const released = unit.isParked;
  unit.isParked = false;
  return released;
}
