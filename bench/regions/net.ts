import { spawnSync } from 'node:child_process'

/** Where the origin is, in its network. */
export const ORIGIN_ADDRESS = '10.77.0.1'

const PREFIX = 'weir-bench'
export const ORIGIN_SPACE = `${PREFIX}-origin`

/** The network namespace of a region, from 1 on. */
export function spaceOf(region: number): string {
  return `${PREFIX}-${region}`
}

/** What runs a command in a namespace. */
export function inside(space: string): readonly string[] {
  return ['ip', 'netns', 'exec', space]
}

/** @throws Error with what the command complained of */
function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

/** A namespace for the origin, with a bridge, and one for each region, joined to it by a pair of veth. */
export function makeNetwork(regions: number): void {
  ip('netns', 'add', ORIGIN_SPACE)
  ip('-n', ORIGIN_SPACE, 'link', 'set', 'lo', 'up')
  ip('-n', ORIGIN_SPACE, 'link', 'add', 'bridge', 'type', 'bridge')
  ip('-n', ORIGIN_SPACE, 'addr', 'add', `${ORIGIN_ADDRESS}/24`, 'dev', 'bridge')
  ip('-n', ORIGIN_SPACE, 'link', 'set', 'bridge', 'up')
  for (let region = 1; region <= regions; region++) {
    const space = spaceOf(region)
    ip('netns', 'add', space)
    ip('-n', ORIGIN_SPACE, 'link', 'add', `to${region}`, 'type', 'veth', 'peer', 'name', 'up0', 'netns', space)
    ip('-n', ORIGIN_SPACE, 'link', 'set', `to${region}`, 'master', 'bridge', 'up')
    ip('-n', space, 'addr', 'add', `10.77.0.${region + 1}/24`, 'dev', 'up0')
    ip('-n', space, 'link', 'set', 'lo', 'up')
    ip('-n', space, 'link', 'set', 'up0', 'up')
  }
}

/** Makes each way over a region's link take so long, in milliseconds. False where the kernel can't (no netem). */
export function lengthen(region: number, delay: number): boolean {
  const args = ['qdisc', 'add', 'dev', 'up0', 'root', 'netem', 'delay', `${delay}ms`, 'limit', '100000']
  const there = ['qdisc', 'add', 'dev', `to${region}`, 'root', 'netem', 'delay', `${delay}ms`, 'limit', '100000']
  return (
    spawnSync('tc', ['-n', spaceOf(region), ...args]).status === 0 &&
    spawnSync('tc', ['-n', ORIGIN_SPACE, ...there]).status === 0
  )
}

/** Pulls the plug of a region, or puts it in again. */
export function setLink(region: number, state: 'up' | 'down'): void {
  ip('-n', ORIGIN_SPACE, 'link', 'set', `to${region}`, state)
}

/** With a namespace goes all that is in it. */
export function removeNetwork(regions: number): void {
  for (const space of [ORIGIN_SPACE, ...Array.from({ length: regions }, (_, index) => spaceOf(index + 1))])
    spawnSync('ip', ['netns', 'del', space])
}
