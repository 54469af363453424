import { READS, script } from './script.ts'

// The scripts, by name. Each file says which keys and arguments it takes, and what it gives.

export const ACQUIRE = script(['lease-acquire'])
export const RENEW = script(['lease-renew'])
export const RELEASE = script(['lease-release'])
export const CLAIM = script(['lease-claim'])

export const LINEAGE = script(['lineage'])
export const READ = script(['value-read'], READS)
export const PUBLISH = script(['value-publish'])
export const EXPIRE = script(['value-expire'])

export const APPEND = script(['log-open', 'log-append'])
export const HISTORY = script(['log-open', 'log-history'])

export const TAKE = script(['take-windows', 'take-nodes', 'take-grants'])
export const PAUSES = script(['pauses'])
