import type { MaybePromise } from '../call.ts'

/** The listener of a channel. */
export interface ChannelListener<Raw> {
  hear(message: Raw): void
  /** From now on every message is received. Earlier ones may have been missed. Called again after each interruption. */
  joined(): void
}

/** Channels that this node listens to. */
export interface Channels<Raw> {
  /** One listener for each channel. Returns how to stop. */
  listen(channel: string, listener: ChannelListener<Raw>): () => void
}

export interface SubscriptionsParts<Raw, Message> {
  readonly channels: Channels<Raw>
  readonly channelOf: (name: string) => string
  /** Undefined for anything else than such a message. */
  readonly read: (message: Raw, channel: string) => MaybePromise<Message | undefined>
  /** What a listener gets that may have missed something. */
  readonly catchUp: (name: string) => Promise<Message | undefined>
  readonly report: (error: unknown) => void
}

/**
 * Many listeners on one channel for each name. When the channel is joined, and again after each interruption, all get the current state, so
 * that nothing stays missed.
 *
 * @returns a function to listen, which returns how to stop
 */
export function subscriptions<Raw, Message>({
  channels,
  channelOf,
  read,
  catchUp,
  report,
}: SubscriptionsParts<Raw, Message>) {
  type Hear = (message: Message) => void
  interface Heard {
    readonly listeners: Set<Hear>
    readonly stop: () => void
  }
  const names = new Map<string, Heard>()

  function begin(name: string): Heard {
    const listeners = new Set<Hear>()
    const channel = channelOf(name)
    let heard = 0
    const tell = (message: Message | undefined) => {
      if (message === undefined) return
      heard += 1
      for (const listener of listeners) listener(message)
    }
    async function catchUpNow(): Promise<void> {
      const before = heard
      const message = await catchUp(name)
      // A message that came meanwhile is newer, and reveals what was missed before it.
      if (heard === before) tell(message)
    }
    /** A message that is still being decoded. Later ones wait for it. */
    let reading: Promise<void> | undefined
    function hear(raw: Raw): void {
      const message = read(raw, channel)
      if (reading === undefined && !(message instanceof Promise)) {
        tell(message)
        return
      }
      const before = reading
      const one = (async () => {
        await before
        tell(await message)
      })()
        .catch(report)
        .finally(() => {
          if (reading === one) reading = undefined
        })
      reading = one
    }
    const stop = channels.listen(channel, {
      hear,
      joined: () => void catchUpNow().catch(report),
    })
    const one = { listeners, stop }
    names.set(name, one)
    return one
  }

  return (name: string, listener: Hear): (() => void) => {
    const one = names.get(name) ?? begin(name)
    // A function of its own: a caller that subscribes twice with one function gets messages twice, and each stop ends one.
    const hear: Hear = (message) => listener(message)
    one.listeners.add(hear)
    return () => {
      one.listeners.delete(hear)
      if (one.listeners.size > 0 || names.get(name) !== one) return
      names.delete(name)
      one.stop()
    }
  }
}
