import type { Level } from '@weir/protocol'

/** What SIGUSR2 puts in the place of each level: maintenance is left, and never entered by chance. */
export const NEXT_LEVEL: Readonly<Record<Level, Level>> = {
  normal: 'saver',
  saver: 'strained',
  strained: 'normal',
  maintenance: 'normal',
}

/** Why it changed, for the log. */
export const BY_SIGNAL = 'by hand, with SIGUSR2'
