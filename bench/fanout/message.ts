/** A message of so many bytes that says when it was made: `@NANOSECONDS;` on the machine's monotonic clock. */
export function messageOf(bytes: number): string {
  return `@${process.hrtime.bigint()};`.padEnd(bytes, 'x')
}
