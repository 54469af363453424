import { show, WeirError } from '../errors.ts'
import { isRecord } from '../options.ts'
import { type Feed, type ServedFeed, servedFeed } from '../topic/feed/feed.ts'
import { type Log, type ServedLog, servedLog } from '../topic/log/log.ts'

/**
 * The values of a feed or the events of a log as one gateway or one site serves them, for programs in which several serve the same declaration.
 *
 * @throws WeirError `internal` when it is not served there
 */
export interface Of {
  <Key, Value>(declared: Feed<Key, Value>): ServedFeed<Key, Value>
  <Key, Given, Event>(declared: Log<Key, Given, Event>): ServedLog<Key, Given, Event>
}

/** Reads declarations through the one of these sites that serves them. */
export function of(sites: readonly object[]): Of {
  function siteOf(where: string, serving: { isServedBy(site: object): boolean }): object {
    const [site, ...others] = sites.filter((site) => serving.isServedBy(site))
    if (site !== undefined && others.length === 0) return site
    const problem =
      site === undefined
        ? 'expected an app of this gateway that uses it, got none'
        : `expected one app of this gateway that uses it, got ${others.length + 1}: name the site with gateway.sites[…].of(…)`
    throw new WeirError('internal', `${where}: ${problem}`)
  }

  function served(declared: Feed | Log): ServedFeed | ServedLog {
    if (isRecord(declared) && declared.kind === 'feed') {
      const { plan, serving } = declared
      const site = siteOf(plan.where, serving)
      return servedFeed(() => serving.of(site))
    }
    if (isRecord(declared) && declared.kind === 'log') {
      const { plan, serving } = declared
      const site = siteOf(plan.where, serving)
      return servedLog(() => serving.of(site))
    }
    throw new WeirError('internal', `gateway.of(): expected a feed or a log, got ${show(declared)}`)
  }
  return served as Of
}
