import type { Backend } from '../src/backend/ports.ts'

/** A backend under test, fresh and empty, with the time by which it lives. */
export interface Opened {
  readonly backend: Backend
  /** By how many milliseconds its time may be late: none where it is moved, some where it is real. */
  readonly late: number
  /** Lets so many milliseconds pass for the backend. */
  advance(milliseconds: number): Promise<void>
}

/** Opens one. Called for every test; what it opened is closed when the test is over. */
export type Open = () => Promise<Opened>

/** The body of a test with a backend of its own. */
export function withBackend(open: Open, body: (opened: Opened) => Promise<void>): () => Promise<void> {
  return async () => {
    const opened = await open()
    try {
      await body(opened)
    } finally {
      await opened.backend.close()
    }
  }
}
