import { redisCluster } from '../test/redis-cluster.ts'
import { redisContract } from './redis.ts'

redisContract('a cluster of redis', () => redisCluster())
