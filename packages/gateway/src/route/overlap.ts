import { addRoute, createRouter, findRoute } from 'rou3'

/**
 * Finds the other path that serves an address made from a key of `path`: `/items/:id` can spell `/items/all`. If that
 * path is declared too, its values must not be stored or served under the key `all`.
 *
 * @param paths every path that has values, including `path`
 * @returns undefined if no other path can serve an address of this one
 */
export function otherPathOf(
  path: string,
  paths: readonly string[],
): ((address: string) => string | undefined) | undefined {
  if (!paths.some((other) => other !== path && overlap(path, other))) return undefined
  const router = createRouter<string>()
  for (const known of paths) addRoute(router, '', known, known)
  return (address) => {
    const served = findRoute(router, '', address.split('?', 1)[0] ?? '')?.data
    return served === path ? undefined : served
  }
}

/** Whether an address can match both paths. */
function overlap(first: string, second: string): boolean {
  const [ours, theirs] = [first.split('/'), second.split('/')]
  return (
    ours.length === theirs.length &&
    ours.every((segment, index) => {
      const opposite = theirs[index] ?? ''
      return segment === opposite || segment.startsWith(':') || opposite.startsWith(':')
    })
  )
}
