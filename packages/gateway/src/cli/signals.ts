import type { Level } from '@weir/protocol'

/** The level that SIGUSR2 sets after each level. It leaves maintenance, but never enters it. */
export const NEXT_LEVEL: Readonly<Record<Level, Level>> = {
  normal: 'saver',
  saver: 'strained',
  strained: 'normal',
  maintenance: 'normal',
}

/** The reason for the change, for the log. */
export const BY_SIGNAL = 'set by SIGUSR2'
