import { type ReactNode, useId } from 'react'

/** How a page's live connection is doing. */
export type ConnectionStatus = 'connecting' | 'live' | 'stale' | 'reconnecting' | 'offline' | 'idle'

interface StatusPillProps {
  readonly status: ConnectionStatus
  /** A number that changes by the second, kept from screen readers: `12 s`. */
  readonly detail?: string | undefined
  /** Shown on hover and focus: transport, level, heartbeat. */
  readonly facts: readonly (readonly [name: string, value: ReactNode])[]
}

/** The header's word on the connection. Screen readers hear it when the word changes, not at every second. */
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
