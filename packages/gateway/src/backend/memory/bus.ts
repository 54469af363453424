import type { Bus } from '../ports.ts'

/** Listeners inside one process, called at once. */
export function memoryBus(): Bus {
  const [publish, subscribe] = channels<Parameters<Bus['publish']>[1]>()
  const [broadcast, onBroadcast] = channels<string>()
  return { publish, subscribe, broadcast, onBroadcast }
}

function channels<Message>() {
  type Hear = (message: Message) => void
  const all = new Map<string, Set<Hear>>()

  function tell(channel: string, message: Message): void {
    for (const listener of all.get(channel) ?? []) listener(message)
  }

  function listen(channel: string, listener: Hear): () => void {
    const listeners = all.get(channel) ?? new Set()
    all.set(channel, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && all.get(channel) === listeners) all.delete(channel)
    }
  }

  return [tell, listen] as const
}
