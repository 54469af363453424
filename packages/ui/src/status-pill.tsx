import { type ReactNode, useId } from 'react'

/** The state of a page's live connection. */
export type ConnectionStatus = 'connecting' | 'live' | 'stale' | 'reconnecting' | 'offline' | 'idle'

interface StatusPillProps {
  readonly status: ConnectionStatus
  /** A number that changes every second, hidden from screen readers: `12 s`. */
  readonly detail?: string | undefined
  /** Details on hover and focus: transport, level, heartbeat. */
  readonly facts: readonly (readonly [name: string, value: ReactNode])[]
}

/** The connection state in the header. Screen readers announce changes of the state, but not every second. */
export function StatusPill({ status, detail, facts }: StatusPillProps) {
  const id = useId()
  return (
    <div className="pill-place">
      <button type="button" className="pill" data-status={status} aria-describedby={id}>
        <span className="pill-dot" aria-hidden="true" />
        <span className="hidden">Connection: </span>
        {status}
        {detail !== undefined && (
          <span className="pill-detail" aria-hidden="true">
            {detail}
          </span>
        )}
      </button>
      <span className="hidden" role="status">
        Connection {status}
      </span>
      <div className="pill-facts" id={id} role="tooltip">
        <dl>
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </div>
  )
}
