import type { Backend } from './ports.ts'

/** A backend in which every name begins with `scope`: two apps may use the same paths and never meet. */
export function namespacedBackend(backend: Backend, scope: string): Backend {
  const { values, leases, meters, bus, logs } = backend
  const named = (name: string) => `${scope}:${name}`
  return {
    // Upstreams are shared between apps on purpose, so meters keep their names.
    meters,
    values: {
      get lineage() {
        return values.lineage
      },
      read: (topic) => values.read(named(topic)),
      publish: (topic, publication) => values.publish(named(topic), publication),
      expire: (topic) => values.expire(named(topic)),
    },
    leases: {
      acquire: (name, owner, ttl, known) => leases.acquire(named(name), owner, ttl, known),
      renew: (name, owner, token, ttl) => leases.renew(named(name), owner, token, ttl),
      release: (name, owner, token) => leases.release(named(name), owner, token),
      claim: (group, names, owner, ttl) => leases.claim(named(group), names, owner, ttl),
    },
    bus: {
      publish: (channel, message) => bus.publish(named(channel), message),
      subscribe: (channel, listener) => bus.subscribe(named(channel), listener),
      broadcast: (channel, word) => bus.broadcast(named(channel), word),
      onBroadcast: (channel, listener) => bus.onBroadcast(named(channel), listener),
    },
    logs: {
      append: (log, event, bounds) => logs.append(named(log), event, bounds),
      appendAfter: (log, after, event, bounds) => logs.appendAfter(named(log), after, event, bounds),
      read: (log, after, most) => logs.read(named(log), after, most),
      subscribe: (log, listener) => logs.subscribe(named(log), listener),
    },
    close: () => backend.close(),
  }
}
