// What the two event channel ABIs (2-level bitmaps, FIFO queues) have in common: how a port's pending and mask bits live in
// guest memory. The port table itself (event-channels.ts) knows nothing of it.

/** A vCPU as the receiver of events. */
export interface EventVcpu {
  readonly id: number;
  /** Machine address of its vcpu_info. */
  readonly infoAddress: number;
  /** SCHEDOP_poll: 0 = doesn't poll, a port, or POLLS_SEVERAL. */
  pollPort: number;
  /** evtchn_upcall_pending has just become 1: unblock. */
  eventsPending(): void;
  /** A polled port became pending. */
  endPoll(): void;
}

export const POLLS_SEVERAL = -1;

/** The state of a port that the ABIs need. */
export interface EventPort {
  readonly port: number;
  priority: number;
  /** FIFO: an event that arrived before the guest gave memory for the port's word. */
  deferred: boolean;
  /** FIFO: the queue that the port was linked to last. */
  lastVcpu: number;
  lastPriority: number;
}

export interface EventAbi {
  /** Number of ports, port 0 included, that the guest's memory can describe at most. */
  readonly limit: number;
  /** Marks pending; tells the vCPU when the port isn't masked. Returns whether it was pending already. */
  setPending(port: EventPort, vcpu: EventVcpu): boolean;
  clearPending(port: EventPort): void;
  isPending(port: EventPort): boolean;
  isMasked(port: EventPort): boolean;
  /** Clears the mask; delivers an event that was pending. */
  unmask(port: EventPort, vcpu: EventVcpu): void;
  /** The guest still has a closed port in a queue, so its number can't be given out again yet. */
  isBusy(port: EventPort): boolean;
}
