// One end of a TCP connection (RFC 9293 3.10; RFC 5961 against blind resets; 7323 window scale; 2018 selective acknowledgments; 1122
// keep-alive), as the NAT plays it towards a guest in the name of a host far away. Knows no packets of the network below and no sockets of the machine: segments go out and come
// in, bytes likewise. Invariant: sent <= highest, and unacknowledged bytes are buffered until acknowledged.

import type { Timers } from "../timers.js";
import { TcpReceiver } from "./tcp-receiver.js";
import { Scoreboard } from "./tcp-scoreboard.js";
import { SendBuffer, sequenceDistance, TCP, type TcpSegment } from "./tcp-segment.js";
import { CongestionWindow, RetransmissionTimeout } from "./tcp-timing.js";

export type TcpState =
  | "syn-sent"
  | "syn-received"
  | "established"
  | "fin-wait-1"
  | "fin-wait-2"
  | "closing"
  | "time-wait"
  | "close-wait"
  | "last-ack"
  | "closed";

export type OutSegment = Omit<TcpSegment, "sourcePort" | "targetPort">;

export interface TcpConnectionOptions {
  readonly timers: Timers;
  readonly initialSequence: number;
  /** Largest payload of a packet on the way to the other side. */
  readonly mss: number;
  /** Most bytes that may wait here for their turn, or for whoever uses them, now. */
  readonly capacity: () => number;
  /** A segment's payload may be longer than the other side's maximum: then it is to be cut. */
  readonly send: (segment: OutSegment, segmentSize: number) => void;
  /** Bytes that `onData` got and that aren't used up: they take room in the window. Call `drained` when there is more. */
  readonly backlog: () => number;
  readonly onConnected: () => void;
  readonly onData: (data: Uint8Array) => void;
  /** The other side has no more to say. */
  readonly onEnd: () => void;
  /** Bytes were acknowledged: `buffered` is less. */
  readonly onSent: () => void;
  /** Nothing is left of it; reset: by the other side or after a timeout. */
  readonly onClosed: (how: "done" | "reset") => void;
}

const WINDOW_SCALE = 4;
const DEFAULT_MSS = 536;
/** Payload of the longest packet, for whoever below cuts it: 44 segments of full size, with all headers less than 64 KiB. */
export const MAX_PAYLOAD = 44 * 1460;
const MAX_TRIES = 12;
const MAX_SYN_TRIES = 6;
const TIME_WAIT_MS = 10_000;
/** Our side is done, the other one goes silent. */
const FIN_WAIT_2_MS = 60_000;
const DELAYED_ACK_MS = 20;
const CHALLENGE_INTERVAL_MS = 1000;
const MAX_CHALLENGES = 20;
/** A guest that says nothing for so long is asked whether it is still there, and given up after so many questions. */
const KEEP_ALIVE_MS = 600_000;
const KEEP_ALIVE_INTERVAL_MS = 75_000;
const MAX_KEEP_ALIVES = 8;

export class TcpConnection {
  readonly #options: TcpConnectionOptions;
  readonly #receiver: TcpReceiver;
  readonly #buffer = new SendBuffer();
  readonly #timeout = new RetransmissionTimeout();
  readonly #scoreboard = new Scoreboard();
  #congestion: CongestionWindow;
  #state: TcpState = "closed";
  #mss = DEFAULT_MSS;
  /** Oldest that isn't acknowledged, next to send, one after the highest that was sent. */
  #oldest: number;
  #next: number;
  #highest: number;
  #window = 0;
  #windowScale = 0;
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #isEnding = false;
  #tries = 0;
  #challenges = 0;
  #challengesSince = Number.NEGATIVE_INFINITY;
  #timed: { readonly end: number; readonly at: number } | undefined;
  #unacknowledged = 0;
  #stopTimer: (() => void) | undefined;
  #stopAck: (() => void) | undefined;
  #stopKeepAlive: (() => void) | undefined;
  #heard = 0;
  #keepAlives = 0;
  /** Both sides take selective acknowledgments. */
  #usesSack = true;

  constructor(options: TcpConnectionOptions) {
    this.#options = options;
    this.#receiver = new TcpReceiver(options.capacity, options.backlog, options.onData);
    this.#oldest = this.#next = this.#highest = options.initialSequence >>> 0;
    this.#congestion = new CongestionWindow(options.mss);
  }

  get state(): TcpState {
    return this.#state;
  }

  /** Bytes written and not acknowledged. */
  get buffered(): number {
    return this.#buffer.length;
  }

  // --- opening ---

  /** The other side's first segment. It is answered by `accept`. */
  receiveSyn(segment: TcpSegment): void {
    this.#state = "syn-received";
    this.#takeSyn(segment);
  }

  #takeSyn({ sequence, mss, windowScale, takesSack = false, window, acknowledgment }: TcpSegment): void {
    this.#receiver.start(sequence);
    this.#mss = Math.max(64, Math.min(this.#options.mss, mss ?? DEFAULT_MSS));
    this.#congestion = new CongestionWindow(this.#mss);
    this.#usesSack = takesSack;
    if (windowScale !== undefined) {
      this.#windowScale = windowScale;
      this.#receiver.scale = WINDOW_SCALE;
    }
    this.#window = window;
    this.#windowSequence = sequence;
    this.#windowAcknowledgment = acknowledgment;
  }

  /** Answers the SYN. */
  accept(): void {
    if (this.#state !== "syn-received" || this.#highest !== this.#oldest) return;
    this.#highest = this.#next = (this.#oldest + 1) >>> 0;
    this.#sendSyn();
    this.#arm();
  }

  /** Sends a SYN. */
  connect(): void {
    this.#state = "syn-sent";
    this.#receiver.scale = WINDOW_SCALE;
    this.#highest = this.#next = (this.#oldest + 1) >>> 0;
    this.#sendSyn();
    this.#arm();
  }

  #sendSyn(): void {
    const isAnswer = this.#state === "syn-received";
    const offersScale = this.#receiver.scale > 0;
    const segment = {
      sequence: this.#oldest,
      acknowledgment: isAnswer ? this.#receiver.next : 0,
      flags: isAnswer ? TCP.SYN | TCP.ACK : TCP.SYN,
      window: this.#receiver.advertise(true),
      ...{ mss: this.#options.mss, windowScale: offersScale ? WINDOW_SCALE : undefined },
      ...{ takesSack: this.#usesSack, payload: new Uint8Array(0) },
    };
    this.#options.send(segment, this.#mss);
  }

  // --- what the other side sends ---

  receive(segment: TcpSegment): void {
    if (this.#state === "closed") return;
    this.#heard = this.#options.timers.now();
    this.#keepAlives = 0;
    if (this.#state === "syn-sent") return void this.#receiveInSynSent(segment);
    const { flags, sequence, payload } = segment;
    const length = payload.length + (flags & TCP.FIN ? 1 : 0);
    if (this.#state === "syn-received" && flags & TCP.SYN && !(flags & TCP.ACK)) {
      if ((sequence + 1) >>> 0 === this.#receiver.next && this.#highest !== this.#oldest) this.#sendSyn();
      return;
    }
    if (!this.#receiver.isAcceptable(sequence, length)) {
      if (!(flags & TCP.RST)) this.#challenge();
      return;
    }
    if (flags & TCP.RST) {
      // Only the exact number ends it: others may be guesses (RFC 5961 3.2).
      if (sequence === this.#receiver.next) this.#finish("reset");
      else this.#challenge();
      return;
    }
    if (flags & TCP.SYN) return void this.#challenge();
    if (!(flags & TCP.ACK) || !this.#takeAcknowledgment(segment)) return;
    this.#takeText(segment);
    this.#output();
  }

  #receiveInSynSent(segment: TcpSegment): void {
    const { flags, acknowledgment } = segment;
    const isOurs = (flags & TCP.ACK) !== 0 && acknowledgment === this.#highest;
    if (flags & TCP.ACK && !isOurs) return;
    if (flags & TCP.RST) return void (isOurs ? this.#finish("reset") : undefined);
    // Opening from both sides at once can't come from a guest that we connect to.
    if (!(flags & TCP.SYN) || !isOurs) return;
    this.#takeSyn(segment);
    if (segment.windowScale === undefined) this.#receiver.scale = 0;
    this.#oldest = acknowledgment;
    this.#becomeEstablished();
    this.#acknowledge();
    this.#output();
  }

  #becomeEstablished(): void {
    this.#tries = 0;
    this.#stop();
    this.#state = "established";
    this.#keepAlive(KEEP_ALIVE_MS);
    this.#options.onConnected();
  }

  /** @returns whether the rest of the segment counts */
  #takeAcknowledgment(segment: TcpSegment): boolean {
    const { acknowledgment, sequence, window, payload, flags, sack = [] } = segment;
    const acknowledged = sequenceDistance(acknowledgment, this.#oldest);
    if (sequenceDistance(acknowledgment, this.#highest) > 0) {
      // Of what was never sent.
      if (this.#state === "syn-received") this.#reset(acknowledgment);
      else this.#challenge();
      return false;
    }
    if (this.#state === "syn-received") {
      if (acknowledged !== 1) return true;
      this.#oldest = acknowledgment;
      this.#takeWindow(segment);
      this.#becomeEstablished();
      return true;
    }
    const scaled = window * 2 ** this.#windowScale;
    // With selective acknowledgments: one that tells of more that has come (RFC 6675 2).
    const tellsMore = this.#usesSack && acknowledged >= 0 && this.#scoreboard.take(sack, acknowledgment, this.#highest);
    const isSame = payload.length === 0 && !(flags & TCP.FIN) && scaled === this.#window;
    const isDuplicate =
      acknowledged === 0 && this.#highest !== this.#oldest && (sack.length > 0 && this.#usesSack ? tellsMore : isSame);
    if (
      acknowledged >= 0 &&
      (sequenceDistance(sequence, this.#windowSequence) > 0 ||
        (sequence === this.#windowSequence && sequenceDistance(acknowledgment, this.#windowAcknowledgment) >= 0))
    )
      this.#takeWindow(segment);
    if (acknowledged > 0) this.#advance(acknowledgment, acknowledged);
    else if (isDuplicate) this.#takeDuplicate();
    return true;
  }

  /** A packet has left the network: one may follow, of what is known to be lost, or else (by the window) a new one. */
  #takeDuplicate(): void {
    const { isRecovering } = this.#congestion;
    if (isRecovering && this.#resendHole()) return;
    const flight = sequenceDistance(this.#highest, this.#oldest);
    if (!this.#congestion.duplicate(flight, this.#highest)) return;
    this.#scoreboard.startRecovery(this.#oldest);
    if (!this.#resendHole()) this.#resendFirst();
  }

  #takeWindow({ sequence, acknowledgment, window }: TcpSegment): void {
    this.#window = window * 2 ** this.#windowScale;
    this.#windowSequence = sequence;
    this.#windowAcknowledgment = acknowledgment;
  }

  #advance(acknowledgment: number, count: number): void {
    const data = Math.min(count, this.#buffer.length);
    this.#buffer.drop(data);
    this.#oldest = acknowledgment;
    if (sequenceDistance(this.#next, acknowledgment) < 0) this.#next = acknowledgment;
    if (this.#timed && sequenceDistance(acknowledgment, this.#timed.end) >= 0) {
      this.#timeout.measured(this.#options.timers.now() - this.#timed.at);
      this.#timed = undefined;
    }
    this.#timeout.advanced();
    this.#tries = 0;
    this.#scoreboard.advance(acknowledgment);
    const isPartial = this.#congestion.acknowledged(
      count,
      (position) => sequenceDistance(acknowledgment, position) >= 0,
    );
    if (isPartial && !this.#resendHole() && !this.#scoreboard.wasResent(acknowledgment)) this.#resendFirst();
    this.#stop();
    if (this.#highest !== this.#oldest) this.#arm();
    if (count > data) this.#finAcknowledged();
    else if (data > 0) this.#options.onSent();
  }

  #finAcknowledged(): void {
    switch (this.#state) {
      case "fin-wait-1":
        this.#state = "fin-wait-2";
        this.#stop();
        this.#stopTimer = this.#options.timers.after(FIN_WAIT_2_MS, () => this.abort());
        return;
      case "closing":
        return void this.#waitOut();
      case "last-ack":
        return void this.#finish("done");
    }
  }

  #takeText({ sequence, payload, flags }: TcpSegment): void {
    const hasFin = (flags & TCP.FIN) !== 0;
    if (payload.length === 0 && !hasFin) return;
    if (this.#state !== "established" && this.#state !== "fin-wait-1" && this.#state !== "fin-wait-2")
      return void this.#acknowledge();
    const inOrder = this.#receiver.take(sequence, payload, hasFin);
    // What took the data may have ended the connection.
    if (this.state === "closed") return;
    if (this.#receiver.takeEnd()) {
      this.#takeFin();
      return;
    }
    this.#unacknowledged += payload.length;
    if (!inOrder || this.#unacknowledged >= 2 * this.#mss) this.#acknowledge();
    else this.#stopAck ??= this.#options.timers.after(DELAYED_ACK_MS, () => this.#acknowledge());
  }

  #takeFin(): void {
    if (this.#state === "established") this.#state = "close-wait";
    else if (this.#state === "fin-wait-1") this.#state = "closing";
    else this.#waitOut();
    this.#acknowledge();
    this.#options.onEnd();
  }

  #waitOut(): void {
    this.#state = "time-wait";
    this.#stop();
    this.#stopTimer = this.#options.timers.after(TIME_WAIT_MS, () => this.#finish("done"));
  }

  // --- what goes to the other side ---

  write(data: Uint8Array): void {
    if (this.#isEnding || this.#state === "closed") return;
    this.#buffer.append(data);
    this.#output();
  }

  /** No more to say, once all that was written is sent. */
  end(): void {
    if (this.#isEnding || this.#state === "closed") return;
    this.#isEnding = true;
    this.#output();
  }

  /** Ends at once; the other side is told. */
  abort(): void {
    if (this.#state === "closed") return;
    if (this.#state !== "syn-sent") this.#reset(this.#next);
    this.#finish("reset");
  }

  /** There is less backlog. */
  drained(): void {
    if (this.#state !== "closed" && this.#state !== "syn-sent" && this.#receiver.isWorthTelling(this.#mss))
      this.#acknowledge();
  }

  #output(): void {
    if (this.#state !== "established" && this.#state !== "close-wait") return void this.#outputRest();
    while (this.#outputOnce());
    this.#persist();
  }

  /** Data and FIN of states in which nothing new is written. */
  #outputRest(): void {
    if (this.#state !== "fin-wait-1" && this.#state !== "closing" && this.#state !== "last-ack") return;
    while (this.#outputOnce());
    this.#persist();
  }

  /** @returns whether something was sent */
  #outputOnce(): boolean {
    const under = sequenceDistance(this.#next, this.#oldest);
    const waiting = this.#buffer.length - under;
    if (waiting <= 0) return this.#outputFin(under);
    const room = Math.floor(Math.min(this.#window, this.#congestion.bytes)) - under;
    let length = Math.min(waiting, room, MAX_PAYLOAD);
    if (length < waiting) {
      // Whole segments, unless nothing else is under way (silly windows, RFC 9293 3.8.6.2.1).
      if (length >= this.#mss) length -= length % this.#mss;
      else if (under > 0 || length <= 0) return false;
    }
    this.#sendData(under, length);
    return true;
  }

  #sendData(offset: number, length: number): void {
    const isLast = offset + length === this.#buffer.length;
    const payload = this.#buffer.read(offset, length);
    const sequence = (this.#oldest + offset) >>> 0;
    const end = (sequence + length) >>> 0;
    if (sequenceDistance(end, this.#highest) > 0) {
      this.#timed ??= { end, at: this.#options.timers.now() };
      this.#highest = end;
    }
    if (sequenceDistance(end, this.#next) > 0) this.#next = end;
    this.#emit(sequence, isLast ? TCP.ACK | TCP.PSH : TCP.ACK, payload);
    if (!this.#stopTimer) this.#arm();
  }

  #outputFin(under: number): boolean {
    if (!this.#isEnding || under > this.#buffer.length) return false;
    if (this.#state === "established") this.#state = "fin-wait-1";
    else if (this.#state === "close-wait") this.#state = "last-ack";
    this.#emit(this.#next, TCP.FIN | TCP.ACK, new Uint8Array(0));
    this.#next = (this.#next + 1) >>> 0;
    if (sequenceDistance(this.#next, this.#highest) > 0) this.#highest = this.#next;
    if (!this.#stopTimer) this.#arm();
    return false;
  }

  #emit(sequence: number, flags: number, payload: Uint8Array): void {
    this.#stopAck?.();
    this.#stopAck = undefined;
    this.#unacknowledged = 0;
    const window = this.#receiver.advertise(false);
    // Beside data there is no room for it in a packet of full size.
    const blocks = this.#usesSack && payload.length === 0 && !(flags & TCP.RST) ? this.#receiver.blocks : [];
    const sack = blocks.length > 0 ? blocks : undefined;
    this.#options.send({ sequence, acknowledgment: this.#receiver.next, flags, window, sack, payload }, this.#mss);
  }

  /**
   * With the highest number, not the next to send: while what was lost is sent again, the next lies before what the other side
   * has, which then wouldn't look at the acknowledgment; two that both send again would never get on.
   */
  #acknowledge(): void {
    if (this.#state !== "closed") this.#emit(this.#highest, TCP.ACK, new Uint8Array(0));
  }

  /** Says where we are to who seems not to know; now and then only, or two could go on so forever (RFC 5961 7). */
  #challenge(): void {
    const now = this.#options.timers.now();
    if (now - this.#challengesSince >= CHALLENGE_INTERVAL_MS) {
      this.#challengesSince = now;
      this.#challenges = 0;
    }
    if (this.#challenges++ < MAX_CHALLENGES) this.#acknowledge();
  }

  #reset(sequence: number): void {
    this.#emit(sequence, TCP.RST | TCP.ACK, new Uint8Array(0));
  }

  // --- again ---

  #resendFirst(): void {
    this.#timed = undefined;
    const length = Math.min(this.#mss, this.#buffer.length);
    if (length > 0) this.#sendData(0, length);
    else if (this.#highest !== this.#oldest) this.#emit(this.#oldest, TCP.FIN | TCP.ACK, new Uint8Array(0));
  }

  /** @returns false: no more is known to be lost */
  #resendHole(): boolean {
    const hole = this.#scoreboard.takeHole(this.#oldest, this.#mss);
    if (!hole) return false;
    const offset = sequenceDistance(hole.at, this.#oldest);
    const length = Math.min(hole.length, this.#buffer.length - offset);
    if (length <= 0) return false;
    this.#timed = undefined;
    this.#sendData(offset, length);
    return true;
  }

  /** A closed window is asked for, in case that its opening was lost. */
  #persist(): void {
    if (this.#window === 0 && this.#buffer.length > 0 && !this.#stopTimer) this.#arm();
  }

  #arm(): void {
    this.#stop();
    this.#stopTimer = this.#options.timers.after(this.#timeout.milliseconds, () => this.#expire());
  }

  #stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #expire(): void {
    this.#stopTimer = undefined;
    this.#timed = undefined;
    this.#timeout.backOff();
    const isOpening = this.#state === "syn-sent" || this.#state === "syn-received";
    if (++this.#tries > (isOpening ? MAX_SYN_TRIES : MAX_TRIES)) return void this.abort();
    if (isOpening) this.#sendSyn();
    else if (this.#window === 0 && this.#buffer.length > 0) {
      // The other side answers a probe as long as it lives, however long its window stays closed.
      this.#tries--;
      this.#sendData(0, 1);
    } else {
      this.#congestion.timedOut(sequenceDistance(this.#highest, this.#oldest));
      this.#scoreboard.clear();
      this.#next = this.#oldest;
      while (this.#outputOnce());
    }
    if (!this.#stopTimer) this.#arm();
  }

  /** Asks who has been silent, by a number that was acknowledged before, whether it is still there (RFC 9293 3.8.4). */
  #keepAlive(milliseconds: number): void {
    const { timers } = this.#options;
    this.#stopKeepAlive = timers.after(milliseconds, () => {
      const silent = timers.now() - this.#heard;
      if (silent < KEEP_ALIVE_MS) return this.#keepAlive(KEEP_ALIVE_MS - silent);
      if (this.#keepAlives++ >= MAX_KEEP_ALIVES) return this.abort();
      this.#emit((this.#oldest - 1) >>> 0, TCP.ACK, new Uint8Array(0));
      this.#keepAlive(KEEP_ALIVE_INTERVAL_MS);
    });
  }

  #finish(how: "done" | "reset"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#stop();
    this.#stopAck?.();
    this.#stopAck = undefined;
    this.#stopKeepAlive?.();
    this.#options.onClosed(how);
  }
}
