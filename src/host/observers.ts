// Several observers of one hypervisor behave as one.

import type { RunObserver } from "../hypervisor/hypervisor.js";

/** Undefined when there is none. */
export function joinObservers(...given: readonly (RunObserver | undefined)[]): RunObserver | undefined {
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
  };
}
