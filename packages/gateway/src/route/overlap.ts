import { addRoute, createRouter, findRoute } from 'rou3'

/**
 * Which other path serves an address, for addresses that are made from a key of `path`: `/items/:id` can spell `/items/all`, and
 * when that is declared too, its values must not be stored or served as those of the key `all`.
 *
 * @param paths every path that has values, `path` among them
 * @returns undefined when no other path can serve an address of this one
 */
export function otherPathOf(
  path: string,
  paths: readonly string[],
): ((address: string) => string | undefined) | undefined {
  if (!paths.some((other) => other !== path && overlap(path, other))) return undefined
  const router = createRouter<string>()
  for (const one of paths) addRoute(router, '', one, one)
  return (address) => {
    const served = findRoute(router, '', address.split('?', 1)[0] ?? '')?.data
    return served === path ? undefined : served
  }
}

/** Whether one address can be of both paths. */
function overlap(one: string, other: string): boolean {
  const [these, those] = [one.split('/'), other.split('/')]
  return (
    these.length === those.length &&
    these.every((segment, index) => {
      const opposite = those[index] ?? ''
      return segment === opposite || segment.startsWith(':') || opposite.startsWith(':')
    })
  )
}
