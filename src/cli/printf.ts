// The little of printf that xl's tables need: %-Nd and %N.Mf as functions.

/** %-Ns */
export const left = (value: string | number, width: number): string => String(value).padEnd(width);
/** %Ns, %Nd */
export const right = (value: string | number, width: number): string => String(value).padStart(width);
/** %N.1f */
export const fixed1 = (value: number, width: number): string => value.toFixed(1).padStart(width);
