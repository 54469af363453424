import { keepPage } from '../../src/service-worker.ts'

keepPage()
