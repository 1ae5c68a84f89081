// An application that signs, posts and verifies by itself. It reads jobs, one a
// line of JSON, and prints how long each exchange took in microseconds.
// usage: node client.mjs <provider's host:port>
import { createInterface } from 'node:readline'
import { exchange } from './hongwen.mjs'

for await (const line of createInterface({ input: process.stdin })) {
  const { path, body, connections, ms } = JSON.parse(line)
  const end = performance.now() + ms
  const took = []
  try {
    await Promise.all(Array.from({ length: connections }, async () => {
      do {
        const began = performance.now()
        await exchange(process.argv[2], path, body)
        took.push(Math.round((performance.now() - began) * 1e3))
      } while (performance.now() < end)
    }))
    console.log(JSON.stringify({ took }))
  } catch (err) {
    console.log(JSON.stringify({ error: err.message }))
  }
}
