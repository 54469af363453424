import { redisServer } from '../test/redis-server.ts'
import { redisContract } from './redis.ts'

redisContract('redis', () => redisServer())
