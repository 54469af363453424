import { redisServer } from '../../../scripts/redis-server.ts'
import { redisContract } from './redis.ts'

redisContract('redis', () => redisServer())
