// V8 keeps a field in which it has only seen integers of 32 bits as one. The first value that isn't (a time, an address from 2 GiB on)
// gives all objects of the class another shape and throws away the optimized code of every function that knew the old one.

/** Zero, as a double: what fields begin with that hold other numbers than integers of 32 bits later. */
export const DOUBLE_ZERO: number = new Float64Array(1)[0]!;

/** The same number, as an integer of 32 bits if it is one: what doubles are computed from is a double even when it's small. */
export const compact = (value: number): number => (value === (value | 0) ? value | 0 : value);
