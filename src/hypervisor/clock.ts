// The only sources of time: injected, so that a run can be made deterministic.

export interface Clock {
  /** Nanoseconds on a clock that never goes back; its origin doesn't matter. */
  monotonic(): bigint;
  /** Wall clock: nanoseconds since 1970-01-01 UTC. */
  wall(): bigint;
}
