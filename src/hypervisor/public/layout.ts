// The struct notation of the ABI tables: a layout is declared once, field by field in the order of Xen's header, and is
// computed for both guest ABIs: 64 (x86_64 System V: natural alignment) and 32 (i386: 8-byte integers align to 4).
// `ulong`, `xenPfn` and `handle` are 8 bytes in a 64-bit guest and 4 in a 32-bit one; values are bigint in both.
// Reading never throws while the view is long enough; writing truncates to the field's width, as C does.

/** Word size of the guest that a struct is shared with. */
export type Abi = 64 | 32;

export interface FieldType<T> {
  size(abi: Abi): number;
  align(abi: Abi): number;
  read(view: DataView, at: number, abi: Abi): T;
  write(view: DataView, at: number, abi: Abi, value: T): void;
}

export type ValueOf<F> = F extends FieldType<infer T> ? T : never;

export const u8: FieldType<number> = {
  size: () => 1,
  align: () => 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, _abi, value) => view.setUint8(at, value),
};

export const i8: FieldType<number> = { ...u8, read: (view, at) => view.getInt8(at) };

export const u16: FieldType<number> = {
  size: () => 2,
  align: () => 2,
  read: (view, at) => view.getUint16(at, true),
  write: (view, at, _abi, value) => view.setUint16(at, value, true),
};

export const i16: FieldType<number> = { ...u16, read: (view, at) => view.getInt16(at, true) };

export const u32: FieldType<number> = {
  size: () => 4,
  align: () => 4,
  read: (view, at) => view.getUint32(at, true),
  write: (view, at, _abi, value) => view.setUint32(at, value, true),
};

export const i32: FieldType<number> = { ...u32, read: (view, at) => view.getInt32(at, true) };

export const u64: FieldType<bigint> = {
  size: () => 8,
  align: (abi) => (abi === 64 ? 8 : 4),
  read: (view, at) => view.getBigUint64(at, true),
  write: (view, at, _abi, value) => view.setBigUint64(at, value, true),
};

/** `uint64_aligned_t`: 8-byte aligned in both ABIs (domctl.h, sysctl.h). */
export const u64Aligned: FieldType<bigint> = { ...u64, align: () => 8 };

export const i64: FieldType<bigint> = { ...u64, read: (view, at) => view.getBigInt64(at, true) };

/** `unsigned long`, `xen_ulong_t` of x86. */
export const ulong: FieldType<bigint> = {
  size: (abi) => (abi === 64 ? 8 : 4),
  align: (abi) => (abi === 64 ? 8 : 4),
  read: (view, at, abi) => (abi === 64 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true))),
  write: (view, at, abi, value) =>
    abi === 64 ? view.setBigUint64(at, value, true) : view.setUint32(at, Number(BigInt.asUintN(32, value)), true),
};

/** `xen_pfn_t`: a frame number. */
export const xenPfn = ulong;

/** `XEN_GUEST_HANDLE(x)`: a guest virtual address. */
export const handle = ulong;

/** `XEN_GUEST_HANDLE_64(x)`: 8 bytes in both ABIs, 8-byte aligned. */
export const handle64 = u64Aligned;

/** A fixed array of bytes; reading copies. Shorter values are zero-padded, longer ones cut. */
export function bytes(length: number): FieldType<Uint8Array> {
  return {
    size: () => length,
    align: () => 1,
    read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, length).slice(),
    write: (view, at, _abi, value) => {
      const target = new Uint8Array(view.buffer, view.byteOffset + at, length);
      target.fill(0);
      target.set(value.subarray(0, length));
    },
  };
}

export function array<T>(element: FieldType<T>, length: number): FieldType<T[]> {
  return {
    size: (abi) => element.size(abi) * length,
    align: (abi) => element.align(abi),
    read: (view, at, abi) => Array.from({ length }, (_, i) => element.read(view, at + i * element.size(abi), abi)),
    write: (view, at, abi, value) => {
      for (let i = 0; i < length && i < value.length; i++)
        element.write(view, at + i * element.size(abi), abi, value[i]!);
    },
  };
}

export type StructValue<F> = { -readonly [K in keyof F]: ValueOf<F[K]> };

interface Computed {
  readonly size: number;
  readonly align: number;
  readonly offsets: Readonly<Record<string, number>>;
}

type AnyField = FieldType<unknown>;

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

export class Struct<F> implements FieldType<StructValue<F>> {
  readonly name: string;
  readonly fields: F;
  readonly #entries: readonly (readonly [string, AnyField])[];
  #computed: { 64?: Computed; 32?: Computed } = {};

  constructor(name: string, fields: F) {
    this.name = name;
    this.fields = fields;
    this.#entries = Object.entries(fields as Record<string, AnyField>);
  }

  #layout(abi: Abi): Computed {
    const known = this.#computed[abi];
    if (known) return known;
    const offsets: Record<string, number> = {};
    let at = 0;
    let align = 1;
    for (const [name, field] of this.#entries) {
      const fieldAlign = field.align(abi);
      at = roundUp(at, fieldAlign);
      offsets[name] = at;
      at += field.size(abi);
      align = Math.max(align, fieldAlign);
    }
    return (this.#computed[abi] = { size: roundUp(at, align), align, offsets });
  }

  size(abi: Abi): number {
    return this.#layout(abi).size;
  }

  align(abi: Abi): number {
    return this.#layout(abi).align;
  }

  /** Byte offset of a field. */
  offset(abi: Abi, field: keyof F & string): number {
    return this.#layout(abi).offsets[field]!;
  }

  read(view: DataView, at: number, abi: Abi): StructValue<F> {
    const { offsets } = this.#layout(abi);
    const value: Record<string, unknown> = {};
    for (const [name, field] of this.#entries) value[name] = field.read(view, at + offsets[name]!, abi);
    return value as StructValue<F>;
  }

  /** Writes the fields only: padding bytes keep what they held. */
  write(view: DataView, at: number, abi: Abi, value: StructValue<F>): void {
    const { offsets } = this.#layout(abi);
    for (const [name, field] of this.#entries)
      field.write(view, at + offsets[name]!, abi, (value as Record<string, unknown>)[name]);
  }

  /** Reads a struct from bytes, which must be at least `size(abi)` long. */
  decode(source: Uint8Array, abi: Abi): StructValue<F> {
    return this.read(new DataView(source.buffer, source.byteOffset, source.byteLength), 0, abi);
  }

  /** Fresh bytes that hold `value`, padding zero. */
  encode(abi: Abi, value: StructValue<F>): Uint8Array {
    const target = new Uint8Array(this.size(abi));
    this.write(new DataView(target.buffer), 0, abi, value);
    return target;
  }
}

export function struct<F>(name: string, fields: F): Struct<F> {
  return new Struct(name, fields);
}

/** Overlapping members. Reading gives all of them; writing writes those that the value has, in declaration order. */
export function union<F>(members: F): FieldType<Partial<StructValue<F>>> {
  const entries = Object.entries(members as Record<string, AnyField>);
  const align = (abi: Abi): number => Math.max(...entries.map(([, field]) => field.align(abi)));
  return {
    size: (abi) => roundUp(Math.max(...entries.map(([, field]) => field.size(abi))), align(abi)),
    align,
    read: (view, at, abi) =>
      Object.fromEntries(entries.map(([name, field]) => [name, field.read(view, at, abi)])) as Partial<StructValue<F>>,
    write: (view, at, abi, value) => {
      for (const [name, field] of entries) {
        const member = (value as Record<string, unknown>)[name];
        if (member !== undefined) field.write(view, at, abi, member);
      }
    },
  };
}
