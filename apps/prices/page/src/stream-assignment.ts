// What one stream may carry by the gateway's contract; a longer list takes several.
const STREAM_TOKENS = 500

/**
 * Deals tokens out to streams so that as few streams as possible change: those that stay keep their stream, new ones
 * fill up what has room. A stream that did not change is the same array as before; an emptied one is an empty array.
 */
export function assignStreams(
  before: readonly (readonly string[])[],
  mints: readonly string[],
  room = STREAM_TOKENS,
): readonly (readonly string[])[] {
  const wanted = new Set(mints)
  const streams = before.map((stream) => stream.filter((mint) => wanted.has(mint)))
  for (const stream of streams) for (const mint of stream) wanted.delete(mint)
  const fresh = [...wanted]
  for (const stream of streams) stream.push(...fresh.splice(0, Math.max(0, room - stream.length)))
  while (fresh.length > 0) streams.push(fresh.splice(0, room))
  return streams.map((stream, index) => {
    const old = before[index]
    return old !== undefined && old.length === stream.length && old.every((mint, at) => mint === stream[at])
      ? old
      : stream
  })
}
