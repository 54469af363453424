/** The names of keys and channels. All of one topic or upstream have one hash tag, so that no script crosses slots. */
export interface Keys {
  /** The name of the lineage of epochs. */
  lineage(): string
  /** The latest content of a topic. */
  value(topic: string): string
  /** The largest token and epoch of a topic: kept longer than its value. */
  fence(topic: string): string
  /** The holder of the lease of this name. */
  lease(name: string): string
  /** The sharded channel of a topic's publications. */
  channel(topic: string): string
  /** The channel of broadcasts to all nodes. */
  words(channel: string): string
  /** The owners of the names of a group, and until when. */
  claims(group: string): string
  claimed(group: string): string
  /** The events of a log, its state, and the channel of its events. */
  log(name: string): string
  logState(name: string): string
  logChannel(name: string): string
  /** The state that an upstream's windows share; the keys of the windows begin with it. */
  meter(upstream: string): string
  /** What is paused of an upstream without limits. */
  pauses(upstream: string): string
  /** The nodes that share an upstream, and the channel that announces new ones. */
  nodes(upstream: string): string
  arrivals(upstream: string): string
}

export function redisKeys(prefix: string): Keys {
  // A brace inside a name would end the tag early, and two keys of one topic would lie in two slots.
  const tag = (name: string) =>
    `{${prefix}:${name.replaceAll('%', '%25').replaceAll('{', '%7B').replaceAll('}', '%7D')}}`
  return {
    lineage: () => `${tag('lineage')}:name`,
    value: (topic) => `${tag(topic)}:value`,
    fence: (topic) => `${tag(topic)}:fence`,
    lease: (name) => `${tag(name)}:lease`,
    channel: (topic) => `${tag(topic)}:news`,
    words: (channel) => `${tag(`words:${channel}`)}:words`,
    claims: (group) => `${tag(`claims:${group}`)}:owners`,
    claimed: (group) => `${tag(`claims:${group}`)}:until`,
    log: (name) => `${tag(`log:${name}`)}:log`,
    logState: (name) => `${tag(`log:${name}`)}:state`,
    logChannel: (name) => `${tag(`log:${name}`)}:events`,
    // The names of these two change with the layout of what they hold, so that no version reads another's.
    meter: (upstream) => `${tag(`meter:${upstream}`)}:windows`,
    pauses: (upstream) => `${tag(`meter:${upstream}`)}:pauses`,
    nodes: (upstream) => `${tag(`meter:${upstream}`)}:members`,
    arrivals: (upstream) => `${tag(`meter:${upstream}`)}:arrivals`,
  }
}
