// Whether a guest and someone else send each other small packets in turns: a ping, a question and its answer, a lock on another machine.
// There each waits for the other, and the time from a packet to the next one is all that counts; nothing could be gathered by waiting.

/** Bytes of a small packet: what carries data in bulk is larger, on one way at least. */
const SMALL = 512;
/** Packets sent and received in turns before it counts. */
const ROUNDS = 3;

export class Alternation {
  #received = 0;
  #rounds = 0;

  /** The guest gets a packet. */
  received(bytes: number): void {
    // A large one is as much as several.
    this.#received += bytes > SMALL ? 2 : 1;
  }

  /** The guest was found to have sent so many packets, of so many bytes in all. */
  sent(packets: number, bytes: number): void {
    if (packets === 0) return;
    this.#rounds = packets === 1 && bytes <= SMALL && this.#received === 1 ? this.#rounds + 1 : 0;
    this.#received = 0;
  }

  /** They have been doing so for some rounds. */
  get isGoingOn(): boolean {
    return this.#rounds >= ROUNDS;
  }

  /** It is the guest's turn, and the other one is waiting. */
  get isUrgent(): boolean {
    return this.isGoingOn && this.#received === 1;
  }
}
