// Several observers of one hypervisor behave as one.

import type { EngineObserver } from "../cpu/engine-observer.js";
import type { RunObserver } from "../hypervisor/hypervisor.js";

export type Observer = RunObserver & EngineObserver;

/** Undefined when there is none. */
export function joinObservers(...given: readonly (Observer | undefined)[]): Observer | undefined {
  const observers = given.filter((observer) => observer !== undefined);
  if (observers.length <= 1) return observers[0];
  return {
    enter: (vcpu) => {
      for (const observer of observers) observer.enter(vcpu);
    },
    leave: (vcpu, exit) => {
      for (const observer of observers) observer.leave(vcpu, exit);
    },
    handled: (vcpu) => {
      for (const observer of observers) observer.handled(vcpu);
    },
    begin: () => {
      for (const observer of observers) observer.begin();
    },
    end: (work, amount) => {
      for (const observer of observers) observer.end(work, amount);
    },
  };
}
